import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMs } from '../../runtime/postgres/database-clock.ts'
import { stableInt32 } from '../../runtime/stable-id.ts'
import { backfillKind } from '../backfills/backfill-spec.ts'
import { defaultReplayMs } from './detect-failover.ts'

/** The advisory lock of the process that prunes. */
const group = 5_496_231
const dayMs = 86_400_000
/** No older copy of a store is restored. */
const witnessMs = 90 * dayMs
/** A run that has not ended for so long was killed. */
const unfinishedMs = dayMs

export interface PruneOptions {
  /** `FailoverOptions.replayMs` */
  readonly replayMs?: number | undefined
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/**
 * Deletes the records of runs into this store that nothing needs any more. Of each view stay
 *
 *     the run that began it in the store                        the checkpoint names it
 *     what ended within the last hour, or `replayMs`            a failover sets the checkpoint back to one of these
 *     the newest that ended before that                         the same
 *     the newest, that of the latest moment, the furthest       status, schedules, cursors
 *     what is under way, and runs of backfills
 *
 * The interval of a run that stays begins where the one before it ends, so that the intervals still touch. A view whose
 * checkpoint is absent or cannot be read is left alone: it may come back with a copy of the store.
 *
 * Numbers of witnesses (online/witness.ts) are deleted after 90 days, unless a checkpoint names them.
 *
 * @returns how many records were deleted
 */
export async function pruneRuns(db: Database, store: OnlineStore, options: PruneOptions): Promise<number> {
  const identity = await store.identity()
  const nowMs = await sharedNowMs(db, options.nowMs)
  const runs = 'lockstep.materialization_runs'
  const recorded = await db.kysely.selectFrom(runs).select('view').distinct().where('store', '=', identity).execute()
  const views = recorded.map(({ view }) => view as DefinitionId)
  const checkpoints = await tryCheckpoints(store, views)
  const begun = views.flatMap((view, i) => {
    const checkpoint = checkpoints[i] ?? null
    return checkpoint === null || checkpoint instanceof LockstepError ? [] : [{ view, origin: checkpoint.origin.id }]
  })
  await pruneWitnesses(db, identity, checkpoints, new Date(nowMs - witnessMs))
  return await db.kysely.transaction().execute(async (transaction) => {
    const { rows } = await sql<{ first: boolean }>`select pg_try_advisory_xact_lock(${group}, ${stableInt32(identity)}) as first`.execute(
      transaction,
    )
    if (rows[0]?.first !== true) return 0
    const now = new Date(nowMs)
    const horizon = new Date(nowMs - Math.max(defaultReplayMs, options.replayMs ?? defaultReplayMs))
    let pruned = 0
    for (const { view, origin } of begun) {
      const { numAffectedRows = 0n } = await sql`
        with run as (
          select *, id >= ${origin} as counts, (extract(epoch from ${now}::timestamptz) * 1000000)::int8 as now_micros
          from lockstep.materialization_runs where view = ${view} and store = ${identity}
        ), ranked as (
          select id, started_at, finished_at, moment > now_micros or cursor_to > now_micros as ahead,
            rank() over (partition by fingerprint, finished_at is null order by finished_at desc, id desc) as newest,
            rank() over (partition by counts, coalesce(finished_at <= ${horizon}, false) order by finished_at desc, id desc) as newest_before,
            rank() over (partition by fingerprint, finished_at is null or moment > now_micros order by moment desc, id desc) as latest,
            rank() over (partition by counts, finished_at is null order by to_xid desc, id desc) as furthest,
            rank() over (partition by counts, cursor_column, finished_at is null or cursor_to > now_micros order by cursor_to desc nulls last, id desc) as cursor_furthest,
            rank() over (partition by counts, cursor_column, read_all and finished_at is not null order by started_at desc, id desc) as whole,
            cursor_to is not null as by_cursor, read_all
          from run
        )
        delete from lockstep.materialization_runs r using ranked
        where r.id = ranked.id and r.id <> ${origin}
          and case when ranked.finished_at is null then ranked.started_at < ${new Date(nowMs - unfinishedMs)}
              else ranked.finished_at < ${horizon} and not coalesce(ahead, false) and newest > 1 and newest_before > 1 and latest > 1 and furthest > 1
                and not (by_cursor and cursor_furthest = 1) and not (ranked.read_all and whole = 1) end
          and not exists (
            select from lockstep.jobs b where b.kind = ${backfillKind} and b.scope = ${identity} and b.subject = ${view}
              and r.id::text in (b.plan #>> '{run,id}', b.plan #>> '{origin,id}')
          )`.execute(transaction)
      if (numAffectedRows === 0n) continue
      pruned += Number(numAffectedRows)
      await sql`
        update lockstep.materialization_runs r set from_xid = before.to_xid
        from (
          select id, coalesce(lag(to_xid) over (order by to_xid, from_xid, id), 0) as to_xid
          from lockstep.materialization_runs
          where view = ${view} and store = ${identity} and id >= ${origin} and finished_at is not null
        ) before
        where r.id = before.id and r.from_xid > before.to_xid`.execute(transaction)
    }
    return pruned
  })
}

/** Deletes the numbers of processes that ended long ago, except for those that checkpoints name. */
async function pruneWitnesses(
  db: Database,
  store: string,
  checkpoints: readonly (Checkpoint | LockstepError | null)[],
  before: Date,
): Promise<void> {
  const named: string[] = []
  for (const checkpoint of checkpoints) {
    if (checkpoint instanceof LockstepError) return
    if (checkpoint?.witness !== undefined) named.push(checkpoint.witness.writer)
  }
  const old = db.kysely.deleteFrom('lockstep.store_witnesses').where('store', '=', store).where('written_at', '<', before)
  await (named.length === 0 ? old : old.where('writer', 'not in', named)).execute()
}
