import { LockstepError } from '../../kernel/errors.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { keyRanges } from '../../offline/key-ranges.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import type { KeyRange } from '../../offline/rows/stream-sql.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { advanceCheckpoint, readCheckpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMicros } from '../../runtime/postgres/database-clock.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import { findJob, submitJob } from '../../runtime/jobs/submit-job.ts'
import { sourceTableName } from '../../runtime/postgres/relation.ts'
import type { BackfillPlan, BackfillSpec } from './backfill-spec.ts'
import { backfillKind, backfillPlan, backfillSpec } from './backfill-spec.ts'
import { beginView, lost, witnessOf } from '../runs/begin-view.ts'
import { rebuildRange } from './rebuild-range.ts'
import type { Run } from '../runs/runs.ts'
import { finishRun, startRun } from '../runs/runs.ts'
import type { NotKeptListener } from '../state-writer.ts'

export interface BackfillTools {
  readonly db: Database
  readonly store: OnlineStore
  /** How others call this process: `host:pid`. */
  readonly worker: string
}

export interface BackfillOptions {
  /** Only entities with an event in [from, to), epoch microseconds. Absent: all. */
  readonly events?: BackfillSpec['events']
  /** How many chunks. Absent: one for every 100,000 rows. */
  readonly chunks?: number | undefined
  /** The author, for the audit log. Absent: the materializer itself, to keep views current. */
  readonly by?: Actor | undefined
  /** The clock, epoch microseconds. */
  readonly now: () => number
  /** A worker without a heartbeat for this long counts as dead. Absent: 30. */
  readonly leaseSeconds?: number
}

/** As JSON, which has no bigint, and whose numbers are summed up. */
interface RangeResult {
  readonly rows: number
  readonly entities: number
  /** All rows of transactions below it are in the states. */
  readonly below: string
}

/**
 * Rebuilds the states of a view from their complete history, in ranges of keys that all workers of the database share.
 * Where one of the same view, store and range runs already, it is joined.
 *
 *     begin: checkpoint, ranges -> workers: rebuild the states of a range -> finish: move the checkpoint
 *
 * @throws LockstepError `INVALID_REQUEST` where only some entities of a view are asked for that was never materialized;
 *   `STORE_MISMATCH`, `SOURCE_MISSING`
 */
export async function beginBackfill(
  tools: BackfillTools,
  plan: ViewPlan,
  { events = null, chunks, by, now, leaseSeconds }: BackfillOptions,
): Promise<{ readonly id: number; readonly joined: boolean }> {
  const { db, store, worker } = tools
  const kind = backfills(tools, () => Promise.resolve(plan), { now })
  const what = { scope: await store.identity(), key: keyOf(plan.id, events) }
  const spec = { view: plan.id, events, chunks: chunks ?? null }
  for (;;) {
    const running = await findJob(db, { kind: kind.name, ...what })
    if (running !== null) return { id: running, joined: true }
    const planned = await planBackfill(tools, plan, spec, now)
    const submitted = await submitJob(db, kind, {
      ...what,
      spec,
      subject: plan.id,
      planned,
      worker,
      leaseSeconds,
      async within(transaction, id) {
        // it must not be forgotten meanwhile
        const runs = transaction.selectFrom('lockstep.materialization_runs').select('id').where('id', '=', planned.plan.run.id)
        if ((await runs.forShare().executeTakeFirst()) === undefined) return false
        if (by === undefined) return true
        const range = events === null ? null : { from: formatTimestamp(events.from), to: formatTimestamp(events.to) }
        const after = { backfill: id, events: range, chunks: planned.chunks.length }
        await recordAudit({ kysely: transaction }, by, { action: 'backfill.start', subject: plan.id, after })
        return true
      },
    })
    faultPoint('backfill: written down')
    if (submitted !== null) return submitted
  }
}

/** The id of the backfill of that view, store and range that runs. */
export async function runningBackfill(
  db: Pick<Database, 'kysely'>,
  { view, store, events }: { readonly view: string; readonly store: string; readonly events: BackfillSpec['events'] },
): Promise<number | null> {
  return await findJob(db, { kind: backfillKind, scope: store, key: keyOf(view, events) })
}

function keyOf(view: string, events: BackfillSpec['events']): string {
  return events === null ? view : `${view} ${events.from} ${events.to}`
}

async function planBackfill(
  { db, store }: BackfillTools,
  plan: ViewPlan,
  { events, chunks }: BackfillSpec,
  clock: () => number,
): Promise<{ readonly plan: BackfillPlan; readonly chunks: readonly KeyRange[] }> {
  if (events !== null) await refuseUnmaterialized(store, plan)
  const table = await readSourceTable(db, plan.spec.source)
  // as in a run: what begins later than now would stand for later instants of the schedule, too
  const now = await sharedNowMicros(db, clock())
  const run = await startRun(db, {
    view: plan.id,
    fingerprint: plan.fingerprint,
    store: await store.identity(),
    moment: now,
    startedAt: new Date(Math.floor(now / 1000)),
    table: sourceTableName(plan.spec.source),
  })
  const { origin } = await beginView(db, store, plan, run, table.hasRow && table.hasXid)
  faultPoint('backfill: begun')
  return { plan: { fingerprint: plan.fingerprint, moment: now, run, origin }, chunks: await keyRanges(db, plan, chunks) }
}

async function refuseUnmaterialized(store: OnlineStore, plan: ViewPlan): Promise<void> {
  const checkpoint = await readCheckpoint(store, plan.id)
  if (checkpoint !== null && checkpoint.frontier.below > 0) return
  throw new LockstepError(
    'INVALID_REQUEST',
    `The view "${plan.id}" is not in the online store yet, so a backfill of a part would leave out the other entities. Remove the range, or materialize the view first.`,
    { details: { view: plan.id } },
  )
}

export interface BackfillWork {
  readonly onTooLarge?: NotKeptListener | undefined
  /** The clock, epoch microseconds. */
  readonly now: () => number
}

/** Backfills as jobs. @param find gives the view of that id, or throws why there is none */
export function backfills(
  tools: BackfillTools,
  find: (view: string) => Promise<ViewPlan>,
  { onTooLarge, now }: BackfillWork,
): JobKind<BackfillSpec, BackfillPlan, KeyRange, RangeResult> {
  const { db, store } = tools

  /** The view and its checkpoint, which must be those that the backfill began with. */
  async function begun(job: number, { view }: BackfillSpec, stored: unknown) {
    const { fingerprint, origin, ...rest } = backfillPlan.parse(stored)
    const plan = await find(view)
    if (plan.fingerprint !== fingerprint) throw changed(job, view)
    const checkpoint = await readCheckpoint(store, plan.id)
    if (checkpoint === null || checkpoint.removing || !isSame(checkpoint.origin, origin)) throw lost(plan)
    return { ...rest, plan, origin, checkpoint }
  }

  return {
    name: backfillKind,
    spec: backfillSpec,
    retries: 9,
    backoffSeconds: { from: 1, to: 60 },
    scope: () => store.identity(),
    plan: async ({ spec }) => await planBackfill(tools, await find(spec.view), spec, now),
    async run({ id, spec, plan: stored }, range, { signal }) {
      const { plan, checkpoint, moment } = await begun(id, spec, stored)
      const { rows, entities, below } = await rebuildRange(db, store, plan, {
        checkpoint,
        range,
        events: spec.events,
        moment,
        signal,
        onTooLarge,
      })
      signal.throwIfAborted()
      faultPoint('backfill: chunk made')
      return { rows, entities, below: String(below) }
    },
    async finish({ id, spec, plan: stored }, results, { isHeld }) {
      // Before it is seen that the backfill still runs: a failover fails it, and then sets the checkpoint back.
      const { plan, checkpoint, run, origin } = await begun(id, spec, stored)
      if (!(await isHeld())) return null
      const below = Math.min(...results.map((result) => Number(result.below)))
      const sum = (of: (result: RangeResult) => number): number => results.reduce((all, result) => all + of(result), 0)
      const outcome = { rows: sum(({ rows }) => rows), entities: sum(({ entities }) => entities) }
      // of some entities alone it says nothing of the others, and is no run of the view: one that is due has still to
      // come
      if (spec.events !== null) return outcome
      const begunAt = run.startedAt.getTime() * 1000
      const folded = { folded: allBelow(below), begunAt, witness: witnessOf(db, store, plan) }
      const moved = await advanceCheckpoint(store, plan.id, checkpoint, folded)
      if (moved === null) throw lost(plan)
      faultPoint('backfill: checkpoint moved')
      await finishRun(db, run, { ...outcome, begun: origin, readAll: !checkpoint.incremental, to: moved.is.below }, new Date())
      return outcome
    },
    describe({ id }, { step, number }) {
      return step === 'chunk' ? `chunk ${number} of backfill ${id}` : `the ${step} of backfill ${id}`
    },
  }
}

function isSame(a: Checkpoint['origin'], b: Run): boolean {
  return a.id === b.id && a.startedAt.getTime() === b.startedAt.getTime()
}

function changed(id: number, view: string): LockstepError {
  return new LockstepError('STORE_MISMATCH', `The view "${view}" has changed since backfill ${id} was started; run it again.`)
}
