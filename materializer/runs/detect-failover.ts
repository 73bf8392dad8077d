import { LockstepError } from '../../kernel/errors.ts'
import { allBelow, intersection } from '../../kernel/states/frontier.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { removeCheckpoint, tryCheckpoints, writeCheckpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMs } from '../../runtime/postgres/database-clock.ts'
import { failBackfills } from '../backfills/read-backfills.ts'
import { reopenErasures } from '../erase/reopen-erasures.ts'

/** Replication is asynchronous, but never lags this far. */
export const defaultReplayMs = 3_600_000
/** No row belongs to an earlier transaction. */
const firstTransaction = 3
const runs = 'lockstep.materialization_runs'

export interface FailoverOptions {
  /** How long after a write it is on every copy of the store for sure, milliseconds. Default: an hour. */
  readonly replayMs?: number | undefined
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/**
 * Checks whether a part of the store was emptied, and whether the store has a new primary: it has restarted, or a
 * replica has taken over, and acknowledged writes may be lost. Then the checkpoints of all views are set back to where
 * they were `replayMs` ago, so that the next runs re-materialize those arrivals. Until then readers use the offline
 * history for absent states (online/read.ts). The result is exact, because each state has its own frontier. Running
 * backfills fail, and erasures are repeated. If the process is killed, the new primary stays unknown, and the next
 * process does it again.
 *
 * @returns the views that were set back or restarted
 */
export async function detectFailover(db: Database, store: OnlineStore, options: FailoverOptions): Promise<DefinitionId[]> {
  const emptied = await detectEmptied(db, store)
  const [identity, present] = [await store.identity(), await store.primaries()]
  const rows = await db.kysely.selectFrom('lockstep.online_primaries').select('id').where('store', '=', identity).execute()
  const known = new Set(rows.map(({ id }) => id))
  if (known.size === present.length && present.every((id) => known.has(id))) return emptied
  const views = known.size === 0 || present.every((id) => known.has(id)) ? [] : await setBack(db, store, identity, options)
  await remember(db, identity, present)
  return [...emptied, ...views]
}

/**
 * Checks whether a part of the store was emptied while the others were not. Then no view is complete, whatever its
 * checkpoint says, and each is restarted. The remaining states have their own frontiers, so nothing is counted twice.
 * The marks are written last: if the process is killed, the next one does it again.
 *
 * @returns the views that are restarted
 */
async function detectEmptied(db: Database, { parts, ...store }: OnlineStore): Promise<DefinitionId[]> {
  if (parts === undefined || !(await parts.lost())) return []
  // the store's identity may have been in that part, and with it the relation of runs to this store
  const known = await db.kysely.selectFrom(runs).select('view').distinct().execute()
  const done: DefinitionId[] = []
  await failBackfills(db, await store.identity(), {
    code: 'STORE_MISMATCH',
    message: 'A server of the online store was emptied during the backfill and has lost what it wrote. Run the backfill again.',
  })
  for (const { view } of known as { view: DefinitionId }[]) {
    for (;;) {
      const [checkpoint = null] = await tryCheckpoints(store, [view])
      // as in `setBack`
      if (checkpoint === null || checkpoint instanceof LockstepError || checkpoint.removing) break
      if (!(await removeCheckpoint(store, view, checkpoint))) continue
      done.push(view)
      break
    }
  }
  await parts.mark()
  return done
}

async function setBack(db: Database, store: OnlineStore, identity: string, options: FailoverOptions): Promise<DefinitionId[]> {
  const horizon = new Date((await sharedNowMs(db, options.nowMs)) - (options.replayMs ?? defaultReplayMs))
  const done: DefinitionId[] = []
  await failBackfills(db, identity, {
    code: 'STORE_MISMATCH',
    message:
      'A primary of the online store was restarted or replaced during the backfill and may have lost what it wrote. Run the backfill again.',
  })
  await reopenErasures(db)
  // a run that has not ended may have written states already
  const views = await db.kysely.selectFrom(runs).select('view').distinct().where('store', '=', identity).execute()
  for (const { view } of views as { view: DefinitionId }[]) {
    for (;;) {
      const [checkpoint = null] = await tryCheckpoints(store, [view])
      // A run that restarts a view removes its states first, and keeps its own checkpoint. Until then nothing relies
      // on one that cannot be read.
      if (checkpoint === null || checkpoint instanceof LockstepError || checkpoint.removing) break
      // Only runs since the view was begun count; a view younger than the horizon is re-materialized completely.
      const last = await db.kysely
        .selectFrom(runs)
        .select('to_xid')
        .where('view', '=', view)
        .where('store', '=', identity)
        .where('id', '>=', checkpoint.origin.id)
        .where('finished_at', '<=', horizon)
        .orderBy('finished_at', 'desc')
        .limit(1)
        .executeTakeFirst()
      if (await lower(store, view, checkpoint, Number(last?.to_xid ?? firstTransaction))) {
        done.push(view)
        break
      }
    }
  }
  return done
}

/**
 * Lowers a checkpoint by at least one transaction, even where it is below `to` already. A running run then finds that
 * the checkpoint is no longer where it began, and is repeated, because its writes may be lost. A checkpoint that cannot
 * be lowered is removed.
 *
 * @returns false where the checkpoint has changed since
 */
async function lower(store: OnlineStore, view: DefinitionId, checkpoint: Checkpoint, to: number): Promise<boolean> {
  const below = Math.min(to, checkpoint.frontier.below - 1)
  if (below <= 0) return await removeCheckpoint(store, view, checkpoint)
  return await writeCheckpoint(
    store,
    view,
    { ...checkpoint, frontier: intersection(checkpoint.frontier, allBelow(below)), setBack: true },
    checkpoint,
  )
}

async function remember(db: Database, store: string, present: readonly string[]): Promise<void> {
  await db.kysely.transaction().execute(async (transaction) => {
    const table = 'lockstep.online_primaries'
    await transaction.deleteFrom(table).where('store', '=', store).where('id', 'not in', present).execute()
    await transaction
      .insertInto(table)
      .values(present.map((id) => ({ store, id })))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  })
}
