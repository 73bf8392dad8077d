import { durationText, measuredText } from '../../kernel/values/duration.ts'
import { lateFrom, lateText } from '../../kernel/due-moment.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { FailingView } from '../../materializer/runs/failing-views.ts'
import { readFailingViews } from '../../materializer/runs/failing-views.ts'
import type { SetAsideOfView } from '../../materializer/set-aside.ts'
import { noneSetAside, readSetAsides } from '../../materializer/set-aside.ts'
import type { MaterializationStatus } from '../../materializer/status.ts'
import { lastRuns } from '../../materializer/status.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { maxCountedRows, readArrivedRows } from './arrived-rows.ts'
import { searchableTables } from './searchable-tables.ts'
import type { SourceLag } from './source-lag.ts'
import { sourceLag } from './source-lag.ts'

/** How fresh one view is in the online store. */
export interface ViewFreshness {
  readonly view: string
  /** Since the greatest event time among the rows that arrived last; null where there is none or it is unknown. */
  readonly newestRowSeconds: number | null
  /** Since the end of the last run; null where there was none. */
  readonly lastRunSeconds: number | null
  /** The rows that the source has and the store lacks; null where they are unknown. */
  readonly lag: {
    /** 10,000 means: that many or more. */
    readonly rows: number
    readonly transactions: number
    /**
     * How long rows may have waited, at most: since the last run began, or since the first of them became visible,
     * whichever is later. 0 where none waits.
     */
    readonly seconds: number
  } | null
  /** How far behind its source the view may be; null where it declares nothing. */
  readonly freshnessMicros: number | null
  readonly scheduled: boolean
  /** Entities that have no state in the store, because their rows cannot be folded. */
  readonly setAside: SetAsideOfView
  /** Whether its runs fail one after the other; null: they do not. */
  readonly failing: FailingView | null
  /**
   * Why it is further behind than its freshness or schedule allows, and what to do; null where it is not.
   */
  readonly late: string | null
  /** From when a scheduled run should have counted, which it does not, epoch microseconds; null: none is overdue. */
  readonly overdueSince: number | null
}

/** As the command line and HTTP print it. */
export function freshnessJson({ newestRowSeconds, lastRunSeconds, lag, late, freshnessMicros, setAside, failing }: ViewFreshness) {
  return {
    newestRowSeconds,
    lastRunSeconds,
    lag,
    late,
    setAside,
    failing,
    freshnessSeconds: freshnessMicros === null ? null : freshnessMicros / 1e6,
  }
}

/**
 * How fresh views are, from the store's checkpoints and a few rows of each source. No large table is read completely.
 *
 * @param store null where it does not answer
 * @param runs this store's, from `materializationStatus`
 * @param now epoch microseconds
 */
export async function viewFreshness(
  db: Database,
  store: OnlineStore | null,
  plans: readonly ViewPlan[],
  runs: readonly MaterializationStatus[],
  now: number,
): Promise<ViewFreshness[]> {
  const ids = plans.map(({ id }) => id)
  const checkpoints = store === null ? null : await tryCheckpoints(store, ids)
  const identity = store === null ? null : await store.identity()
  const setAside = identity === null ? null : await readSetAsides(db, identity)
  const failing = identity === null ? null : await readFailingViews(db, identity, ids)
  const tables = await searchableTables(db, plans)
  const lastRun = lastRuns(runs)
  const stored = plans.map((plan, i) => storedCheckpoint(plan, checkpoints?.[i] ?? null))
  const frontiers = stored.map((checkpoint) => (store === null ? null : (checkpoint?.frontier ?? null)))
  const arrived = await readArrivedRows(
    db,
    plans.map((plan, i) => ({ plan, frontier: frontiers[i] ?? null })),
    now,
    tables,
  )
  const views: ViewFreshness[] = []
  for (const [i, plan] of plans.entries()) {
    const run = lastRun(plan)
    const checkpoint = stored[i] ?? null
    const isStored = checkpoint !== null
    const source = await readableLag({ db, store, now }, { plan, frontier: frontiers[i] ?? null }, { tables, found: arrived.get(plan) })
    const seconds = source === null ? null : waitingSeconds(source, run, now)
    const newest = source?.newestEvent ?? null
    const { freshnessMicros } = plan.upkeep
    const overdueSince = isStored ? overdue(plan, checkpoint, now) : null
    views.push({
      view: plan.id,
      newestRowSeconds: newest === null ? null : Math.max(0, (now - newest) / 1e6),
      lastRunSeconds: run === null ? null : run.ageMs / 1000,
      lag: source === null || seconds === null || !isStored ? null : { rows: source.rows, transactions: source.transactions, seconds },
      freshnessMicros,
      scheduled: plan.spec.availability.kind === 'schedule',
      setAside: setAside?.get(plan.id) ?? noneSetAside,
      failing: failing?.get(plan.id) ?? null,
      late:
        (overdueSince === null ? null : lateText(plan.id, overdueSince)) ??
        (freshnessMicros === null
          ? null
          : lateness(plan, freshnessMicros, { isStoreKnown: checkpoints !== null, isStored, source, seconds, run })),
      overdueSince,
    })
  }
  return views
}

/** null: the store does not hold the view as it is defined. */
function storedCheckpoint(plan: ViewPlan, checkpoint: Checkpoint | LockstepError | null): Checkpoint | null {
  if (checkpoint === null || checkpoint instanceof LockstepError) return null
  return checkpoint.fingerprint === plan.fingerprint && !checkpoint.removing && checkpoint.frontier.below > 0 ? checkpoint : null
}

/** A source that is missing or wrong is reported elsewhere, and hides no other view. */
async function readableLag(...lagOf: Parameters<typeof sourceLag>): Promise<SourceLag | null> {
  try {
    return await sourceLag(...lagOf)
  } catch (error) {
    if (error instanceof LockstepError && error.code !== 'POSTGRES_UNAVAILABLE') return null
    // a value cannot be read, or a column or a permission is missing
    if (['22', '42'].includes(sqlState(error).slice(0, 2))) return null
    throw error
  }
}

function overdue({ spec }: ViewPlan, { begunAt }: Checkpoint, now: number): number | null {
  if (spec.availability.kind === 'continuous' || begunAt === undefined) return null
  const from = lateFrom(spec.availability, begunAt)
  return from <= now ? from : null
}

function waitingSeconds({ rows, visibleSince }: SourceLag, run: MaterializationStatus | null, now: number): number {
  if (rows === 0) return 0
  const sinceRun = run === null ? Number.NEGATIVE_INFINITY : run.startedAt.getTime() * 1000
  const since = Math.max(sinceRun, visibleSince ?? Number.NEGATIVE_INFINITY)
  return Number.isFinite(since) ? Math.max(0, (now - since) / 1e6) : 0
}

interface Found {
  readonly isStoreKnown: boolean
  readonly isStored: boolean
  readonly source: SourceLag | null
  readonly seconds: number | null
  readonly run: MaterializationStatus | null
}

function lateness({ id }: ViewPlan, freshnessMicros: number, { isStoreKnown, isStored, source, seconds, run }: Found): string | null {
  const allowed = `it may be ${durationText(freshnessMicros)} behind its source`
  const fix = `run "lockstep materialize ${id}", or start a "lockstep worker"`
  if (!isStoreKnown) return `The view "${id}" may be late: ${allowed}, and the online store does not answer. Start the store.`
  if (!isStored) return `The view "${id}" is late: ${allowed}, and the online store does not hold it. To fix this, ${fix}.`
  if (seconds !== null && source !== null) {
    if (seconds * 1e6 <= freshnessMicros) return null
    const rows = source.rows === 1 ? '1 row has' : `${source.rows}${source.rows < maxCountedRows ? '' : ' or more'} rows have`
    return `The view "${id}" is late: ${allowed}, and ${rows} waited for up to ${measuredText(Math.floor(seconds))}. To fix this, ${fix}.`
  }
  // It is unknown which rows have arrived: the view is as old as its last run.
  if (run !== null && run.ageMs * 1000 <= freshnessMicros) return null
  const ago = run === null ? 'no run of it is known' : `its last run ended ${measuredText(Math.floor(run.ageMs / 1000))} ago`
  return `The view "${id}" is late: ${allowed}, and ${ago}. To fix this, ${fix}.`
}
