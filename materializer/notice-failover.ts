import { allBelow, includes, intersection } from '../kernel/frontier.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import { readMarker, writeMarker } from '../online/marker.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'

/** Replication is asynchronous, but not by so much. */
const defaultReplayMs = 3_600_000

export interface FailoverOptions {
  /** How long ago what was written is surely on every copy of the store. Default: an hour. */
  readonly replayMs?: number | undefined
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/**
 * Looks whether the store has a primary that was not one at the last look: it has restarted, or a replica has taken over, and writes that were acknowledged may be lost. Then
 * the markers of all views are set back to where they stood `replayMs` ago, so that the next runs go over those arrivals again. That is exact, for each state says itself
 * which transactions it holds. Whoever is killed amid it leaves the new primary unknown, and the next one does it again.
 *
 * @returns the views that were set back
 */
export async function noticeFailover(db: Database, store: OnlineStore, options: FailoverOptions): Promise<DefinitionId[]> {
  const [identity, present] = [await store.identity(), await store.primaries()]
  const rows = await db.kysely.selectFrom('lockstep.online_primaries').select('id').where('store', '=', identity).execute()
  const known = new Set(rows.map(({ id }) => id))
  if (known.size === present.length && present.every((id) => known.has(id))) return []
  const views = known.size === 0 || present.every((id) => known.has(id)) ? [] : await setBack(db, store, identity, options)
  await remember(db, identity, present)
  return views
}

async function setBack(db: Database, store: OnlineStore, identity: string, options: FailoverOptions): Promise<DefinitionId[]> {
  const runs = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select(['view', 'to_xid', 'id', 'finished_at'])
    .where('store', '=', identity)
    .where('finished_at', 'is not', null)
    .orderBy('finished_at', 'desc')
    .execute()
  const horizon = options.nowMs - (options.replayMs ?? defaultReplayMs)
  const done: DefinitionId[] = []
  for (const view of new Set(runs.map((run) => run.view as DefinitionId))) {
    for (;;) {
      const marker = await readMarker(store, view)
      if (marker === null || marker.frontier.below <= 0) break
      // Only what was recorded since the view was begun counts; a view that is younger than the horizon is gone over whole.
      const last = runs.find(
        (run) => run.view === view && BigInt(run.id) >= BigInt(marker.origin.id) && (run.finished_at?.getTime() ?? Infinity) <= horizon,
      )
      const before = intersection(marker.frontier, allBelow(Math.max(1, Number(last?.to_xid ?? 1))))
      if (includes(before, marker.frontier)) break
      if (await writeMarker(store, view, { ...marker, frontier: before }, marker)) {
        done.push(view)
        break
      }
    }
  }
  return done
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
