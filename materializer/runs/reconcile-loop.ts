import { setTimeout } from 'node:timers/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { lastInstant, runPoint } from '../../kernel/due-moment.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { hasArrived } from '../../offline/rows/read-arrived.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { readCheckpoint, tryCheckpoints } from '../../online/checkpoint.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Tracing } from '../../runtime/tracing/span.ts'
import type { Semaphore } from '../../runtime/async.ts'
import { sharedNowMicros } from '../../runtime/postgres/database-clock.ts'
import { backoffMs, createSemaphore } from '../../runtime/async.ts'
import type { BackfillTools } from '../backfills/backfill.ts'
import { beginBackfill, runningBackfill } from '../backfills/backfill.ts'
import { detectFailover } from './detect-failover.ts'
import type { MaterializeResult } from './materialize.ts'
import { runHousekeeping } from '../housekeeping.ts'
import { materializeView } from './materialize.ts'
import { failedBackfills, readBackfills } from '../backfills/read-backfills.ts'
import { recordRun, runSpan } from './record-run.ts'
import { reachedByRuns } from './runs.ts'
import { askForScheduledRun } from './scheduled-runs.ts'
import { readFailingViews } from './failing-views.ts'
import { setAsideKeys } from '../set-aside.ts'
import { underRebuildLock, underViewLock } from './view-lock.ts'

const defaultPollMs = 1_000
/** The maximum share of the time for checks for arrivals, and for runs over tables without arrival columns. */
const cost = 20
/** How often a table without arrival columns is read completely, at most. */
const fullReadMs = 60_000
/** How often a table with a cursor column is read, at most. */
const cursorMs = 5_000
/** How often the failure of all views is counted and logged again. */
const failureOfAllMs = 60_000
const failureBackoff = { firstMs: 1_000, maxMs: 60_000 }
/** How often to check for states to remove. */
const houseMs = 5_000
/** How long a failed rebuild waits: it doubles with each failure, up to `max`. */
const afterFailureSeconds = { first: 1, max: 300 }
const runsAtOnce = 2
/** Each takes a connection of the database for its lock. */
const rebuildsAtOnce = 2
/** How often entities that are set aside are tried again while no rows arrive. */
const againMs = 60_000

export interface ReconcileTools extends BackfillTools {
  /** The present registry. */
  catalog(): Promise<Pick<Catalog, 'views' | 'online' | 'view'>>
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface ReconcileOptions {
  /** `FailoverOptions.replayMs` */
  readonly replayMs?: number
  readonly signal: AbortSignal
  /** Called after each run. */
  readonly onRun?: (plan: ViewPlan, result: MaterializeResult) => void
  readonly onFailure?: (plan: ViewPlan, error: unknown) => void
  /** Called at each check with the views whose last attempt failed, one sentence each. */
  readonly onProblems?: (problems: readonly string[]) => void
  /** Records each run. Default: null, none. */
  readonly tracing?: Tracing | null
  /** How often to check for arrivals, milliseconds. Default: 1,000. */
  readonly pollMs?: number
}

/**
 * Keeps the online views of the registry current until the signal. Any number of processes may do it.
 *
 * - A continuous view is materialized when rows have arrived, by one process at a time.
 * - For a scheduled view, the runs of its schedule are submitted as jobs.
 * - A view that the store lacks is rebuilt by a backfill, which all workers share.
 * - States of retired views and erased entities are removed.
 *
 * Failures are logged and retried with a growing delay. A failure of all views, such as of an unavailable store, counts
 * for each view and is logged once a minute.
 */
export async function reconcileViews(tools: ReconcileTools, options: ReconcileOptions): Promise<void> {
  const { signal, pollMs = defaultPollMs } = options
  const views = new Map<string, KeptView>()
  // separate, so that a missing view does not wait for long runs of others
  const slots = { runs: createSemaphore({ permits: runsAtOnce }), rebuilds: createSemaphore({ permits: rebuildsAtOnce }) }
  const underWay = new Set<Promise<void>>()
  let houseAt = 0
  let isHouseKept = false
  let plans: readonly ViewPlan[] = []
  let failed = { text: '', at: 0 }

  function keepHouse(catalog: Pick<Catalog, 'views' | 'online'>, nowMs: number): void {
    if (isHouseKept || performance.now() < houseAt) return
    houseAt = performance.now() + houseMs
    isHouseKept = true
    const work = runHousekeeping(tools.db, tools.store, catalog, { replayMs: options.replayMs, prune: false, nowMs, signal })
      .catch((error: unknown) => {
        if (!signal.aborted) tools.log.warn({ error: messageOf(error) }, 'removals could not be completed')
      })
      .finally(() => {
        isHouseKept = false
        underWay.delete(work)
      })
    underWay.add(work)
  }

  function reportFailureOfAll(error: unknown): void {
    const text = messageOf(error)
    if (signal.aborted || (text === failed.text && performance.now() < failed.at + failureOfAllMs)) return
    failed = { text, at: performance.now() }
    tools.log.warn({ error: text }, 'the views cannot be kept up to date')
    for (const plan of plans) options.onFailure?.(plan, error)
  }

  while (!signal.aborted) {
    try {
      const catalog = await tools.catalog()
      plans = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
      const nowMs = Math.floor(tools.clock() / 1000)
      const reset = await detectFailover(tools.db, tools.store, { replayMs: options.replayMs, nowMs })
      if (reset.length > 0)
        tools.log.warn(
          { views: reset },
          'a server of the online store was replaced or emptied: recent rows, or all rows, are re-materialized',
        )
      const checkpoints = await tryCheckpoints(
        tools.store,
        plans.map(({ id }) => id),
      )
      for (const [i, plan] of plans.entries()) {
        const known = views.get(plan.id)
        const view = known?.plan.fingerprint === plan.fingerprint ? known : newView(plan)
        views.set(plan.id, view)
        if (view.busy || performance.now() < view.nextAt) continue
        const turn = takeTurn(tools, options, view, checkpoints[i] ?? null, slots).finally(() => underWay.delete(turn))
        underWay.add(turn)
      }
      options.onProblems?.(problemsOf(plans.map(({ id }) => views.get(id))))
      keepHouse(catalog, nowMs)
      failed = { text: '', at: 0 }
    } catch (error) {
      reportFailureOfAll(error)
    }
    await setTimeout(pollMs, undefined, { signal }).catch(() => undefined)
  }
  await Promise.all(underWay)
}

interface KeptView {
  readonly plan: ViewPlan
  /** `performance.now()` of the next attempt. */
  nextAt: number
  failures: number
  /** Why the last attempt failed. */
  failure: string | null
  busy: boolean
  /** `performance.now()` of the next check for entities that are set aside. */
  againAt: number
  /** How long its last check for arrivals took; without arrival columns its last run. */
  readMs: number
  /** For a scheduled view: the last `runPoint` that is done. */
  settled: number
}

function newView(plan: ViewPlan): KeptView {
  return {
    plan,
    nextAt: 0,
    failures: 0,
    failure: null,
    busy: false,
    againAt: performance.now() + againMs,
    readMs: 0,
    settled: Number.NEGATIVE_INFINITY,
  }
}

function problemsOf(views: readonly (KeptView | undefined)[]): string[] {
  return views.flatMap((view) =>
    view === undefined || view.failure === null ? [] : [`The view "${view.plan.id}" is not kept current: ${view.failure}`],
  )
}

async function takeTurn(
  tools: ReconcileTools,
  options: ReconcileOptions,
  view: KeptView,
  checkpoint: Checkpoint | LockstepError | null,
  slots: { readonly runs: Semaphore; readonly rebuilds: Semaphore },
): Promise<void> {
  const { plan } = view
  view.busy = true
  try {
    if (checkpoint instanceof LockstepError) throw checkpoint
    if (checkpoint === null || !isMaterialized(checkpoint)) await slots.rebuilds(() => rebuild(tools, options, plan))
    else if (plan.spec.availability.kind === 'schedule') await keepSchedule(tools, options, view, checkpoint, slots.runs)
    else await bringUpToDate(tools, options, view, checkpoint, slots.runs)
    view.failures = 0
    view.failure = null
  } catch (error) {
    if (options.signal.aborted) return
    options.onFailure?.(plan, error)
    view.failure = messageOf(error)
    tools.log.error({ view: plan.id, error: view.failure, failures: view.failures + 1 }, 'a view could not be brought up to date')
    view.nextAt = performance.now() + backoffMs(++view.failures, failureBackoff)
  } finally {
    view.busy = false
  }
}

async function bringUpToDate(
  tools: ReconcileTools,
  options: ReconcileOptions,
  view: KeptView,
  checkpoint: Checkpoint,
  slots: Semaphore,
): Promise<void> {
  const { db, store } = tools
  const { plan } = view
  const started = performance.now()
  if (checkpoint.incremental) {
    // if this cannot be read, the run fails for the same reason and is recorded
    const arrived =
      view.failures > 0 || (await hasArrived(db, plan, checkpoint.frontier).catch(() => true)) || (await isRetryDue(db, store, view))
    rest(view, performance.now() - started)
    // after a set-back, readers use the history until a run has ended
    if (!arrived && checkpoint.setBack !== true) return
  }
  const result = await runView(tools, options, plan, slots)
  if (!checkpoint.incremental) {
    rest(view, performance.now() - started)
    view.nextAt = Math.max(view.nextAt, performance.now() + (plan.upkeep.cursor === null ? fullReadMs : cursorMs))
  }
  if (result !== null) tools.log.debug({ view: plan.id, rows: result.rows, entities: result.entities }, 'a view is current')
}

/** Two reads in a row must be slow, because a single one may have waited, for example for a lock on the table. */
function rest(view: KeptView, readMs: number): void {
  view.nextAt = performance.now() + Math.min(readMs, view.readMs) * cost
  view.readMs = readMs
}

/**
 * Runs a view, if no other process does.
 *
 * @param isDone asked under the lock of the view: whether another process has done it meanwhile
 * @returns null: it was not run
 */
async function runView(
  { db, store, log, clock }: ReconcileTools,
  { signal, onRun, replayMs, tracing }: ReconcileOptions,
  plan: ViewPlan,
  slots: Semaphore,
  isDone: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<MaterializeResult | null> {
  const result = await slots(async () => {
    signal.throwIfAborted()
    return await underViewLock(db, await store.identity(), plan.id, async () => {
      if (await isDone()) return null
      const run = () => materializeView(db, store, plan, { now: clock, signal, replayMs, log })
      return await recordRun(tracing?.begin(runSpan, { kind: 'internal' }), plan, run)
    })
  })
  if (result !== null) onRun?.(plan, result)
  return result
}

/**
 * Whether to run although nothing arrived: rows of entities that are set aside may have been corrected in place, and
 * rows that failed the runs of an ended process may have been deleted.
 */
async function isRetryDue(db: ReconcileTools['db'], store: ReconcileTools['store'], view: KeptView): Promise<boolean> {
  if (performance.now() < view.againAt) return false
  view.againAt = performance.now() + againMs
  const [{ id }, identity] = [view.plan, await store.identity()]
  return (await setAsideKeys(db, id, identity, againMs)).length > 0 || (await readFailingViews(db, identity, [id])).size > 0
}

/**
 * Submits the run of each scheduled instant, and after it the runs that fold late rows. If a failover has set the view
 * back, its missing rows are folded again at once.
 */
async function keepSchedule(
  tools: ReconcileTools,
  options: ReconcileOptions,
  view: KeptView,
  checkpoint: Checkpoint,
  slots: Semaphore,
): Promise<void> {
  const { db, store, clock } = tools
  const { plan } = view
  const { availability } = plan.spec
  if (availability.kind !== 'schedule') return
  const identity = await store.identity()
  const isBehind =
    checkpoint.setBack === true || checkpoint.frontier.below < (await reachedByRuns(db, plan.id, identity, checkpoint.origin))
  if (!isBehind) {
    const own = clock()
    if (runPoint(availability, own) <= view.settled) return
    const now = await sharedNowMicros(db, own)
    const point = runPoint(availability, now)
    if (point <= view.settled) return
    const isFolded = (checkpoint.begunAt ?? Number.NEGATIVE_INFINITY) >= lastInstant(availability, now)
    const isIdle = isFolded && checkpoint.incremental && !(await hasArrived(db, plan, checkpoint.frontier))
    if (isIdle || (await askForScheduledRun(tools, plan))) view.settled = point
    return
  }
  await runView(tools, options, plan, slots, async () => {
    const reached = await reachedByRuns(db, plan.id, identity, checkpoint.origin)
    const now = await readCheckpoint(store, plan.id)
    return now === null || now.removing || (now.setBack !== true && now.frontier.below >= reached)
  })
}

/**
 * Rebuilds a view by a backfill. After a failure the next one begins at once, and later after each further failure.
 * After a cancellation none begins, unless the view was restarted since. A rebuild that was stopped is taken over; a
 * running one is left alone. One process at a time checks whether a backfill is needed: another one's may have begun
 * and ended since the checkpoint was read.
 */
async function rebuild(tools: ReconcileTools, { signal }: ReconcileOptions, plan: ViewPlan): Promise<void> {
  const { db, store, log, clock } = tools
  signal.throwIfAborted()
  const identity = await store.identity()
  if ((await runningBackfill(db, { view: plan.id, store: identity, events: null })) !== null) return
  await underViewLock(db, identity, plan.id, async () => {
    const [last] = await readBackfills(db, { view: plan.id, store: identity })
    // read after the backfills: one that has ended moved the checkpoint before
    const checkpoint = await readCheckpoint(store, plan.id)
    if (checkpoint !== null && isMaterialized(checkpoint)) return
    if (last !== undefined && (last.plan === null || last.plan.fingerprint === plan.fingerprint)) {
      if (last.state === 'running') return
      const isRestarted = checkpoint !== null && last.plan !== null && Number(checkpoint.origin.id) > Number(last.plan.run.id)
      if (last.state === 'cancelled' && !isRestarted) return
      if (!isRestarted && last.state === 'failed') {
        const { times, secondsAgo } = await failedBackfills(db, { view: plan.id, store: identity, fingerprint: plan.fingerprint })
        if (secondsAgo < Math.min(afterFailureSeconds.max, afterFailureSeconds.first * 2 ** (times - 1))) return
      }
    }
    if (checkpoint?.removing === true && (await underRebuildLock(db, identity, plan.id, () => Promise.resolve(true))) === null) return
    const { id, joined } = await beginBackfill(tools, plan, { now: clock })
    if (!joined) log.info({ view: plan.id, backfill: id }, 'a view that is missing in the online store is being filled')
  })
}

function isMaterialized({ frontier }: Checkpoint): boolean {
  return frontier.below > 0
}
