import { messageOf } from '../../kernel/errors.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { CheckSpec } from '../../registry/define/check-options.ts'
import { watchedName } from '../../registry/monitor-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { CheckResult, SharedReads } from './check-kind.ts'
import { evaluateCheck } from './checks/all-checks.ts'
import { unknownBecause } from './checks/watched-versions.ts'
import type { ActiveMonitor } from './default-monitors.ts'
import { activeMonitors } from './default-monitors.ts'
import { maxListedAlerts, readAlerts } from './read-alerts.ts'

export interface EvaluationDeps {
  readonly db: Database
  readonly store: OnlineStore | null
  readonly catalog: Catalog
  /** Epoch microseconds. */
  readonly clock: () => number
  readonly signal: AbortSignal
}

/** The results of one check of a monitor. */
export interface CheckedResults {
  readonly kind: CheckSpec['kind']
  /** null: the check failed, so nothing is known about any of its subjects. */
  readonly results: readonly CheckResult[] | null
  /** Why it failed. */
  readonly error: string | null
}

/**
 * Runs the checks of a monitor; it writes nothing. One that fails hides no other.
 *
 * @param moment the end of the window, epoch microseconds
 * @param memories what each check and subject has left
 * @throws temporary failures, as when a database is down: the evaluation is tried again
 */
export async function evaluateMonitor(
  { db, store, catalog, clock, signal }: EvaluationDeps,
  monitor: ActiveMonitor,
  moment: number,
  memories: ReadonlyMap<string, unknown> = new Map(),
): Promise<CheckedResults[]> {
  const window = { from: moment - monitor.windowMicros, to: moment }
  const shared: SharedReads = { rollups: new Map(), driftReports: new Map() }
  const checked: CheckedResults[] = []
  for (const spec of monitor.checks) {
    const memoryOf = (subject: string): unknown => memories.get(memoryKey(spec.kind, subject))
    try {
      const results = await evaluateCheck({ db, store, catalog, monitor, window, clock, memoryOf, shared, signal }, spec)
      checked.push({ kind: spec.kind, results: results.length === 0 ? [nothingWatched(spec.kind, monitor)] : results, error: null })
    } catch (error) {
      if (signal.aborted || isTemporary(error)) throw error
      checked.push({ kind: spec.kind, results: null, error: messageOf(error) })
    }
  }
  const reported = await reportedByOther({ db, store, catalog, clock, signal }, monitor, moment, checked)
  if (reported.size === 0) return checked
  return checked.map(({ kind, results, error }) => ({
    kind,
    error,
    results:
      results?.map((result): CheckResult => {
        const cause = reported.get(memoryKey(kind, result.subject))
        return cause === undefined || result.state !== 'breach' ? result : { ...result, state: 'unknown', cause }
      }) ?? null,
  }))
}

/** The checks whose subjects are online views, or their sources. */
const isOfViews: ReadonlySet<CheckSpec['kind']> = new Set<CheckSpec['kind']>(['freshness', 'arrivals'])

/** The result of a check that has no subject yet: without it, the monitor would look as if nobody evaluated it. */
function nothingWatched(kind: CheckSpec['kind'], monitor: ActiveMonitor): CheckResult {
  const subject = watchedName(monitor)
  const of = monitor.target.kind === 'system' ? '' : ` of the ${monitor.target.kind} "${subject}"`
  const lacks = isOfViews.has(kind)
    ? `no view${of} is online. It waits until one is`
    : `there are no columns${of} to compare. It waits for a version of the model with such columns`
  return { subject, ...unknownBecause(`The check "${kind}" has nothing to watch: ${lacks}.`) }
}

/**
 * The breaches that the monitor reports to which this one yields, with the words that say so: one fault is one alert.
 * Both monitors may be due at the same time, and either job may run first. So the checks of the other one run here too.
 * A window that contains the end of a fault still breaches, so an alert of the other one counts for the window.
 */
async function reportedByOther(
  deps: EvaluationDeps,
  monitor: ActiveMonitor,
  moment: number,
  checked: readonly CheckedResults[],
): Promise<ReadonlyMap<string, string>> {
  const reported = new Map<string, string>()
  const breaching = new Set(checked.flatMap(({ kind, results }) => (results?.some(({ state }) => state === 'breach') ? [kind] : [])))
  const other = activeMonitors(deps.catalog, true).monitors.find(({ name }) => name === monitor.yieldsTo)
  if (other === undefined || breaching.size === 0) return reported
  const checks = other.checks.filter(({ kind }) => breaching.has(kind))
  for (const { kind, results } of await evaluateMonitor(deps, { ...other, checks }, moment))
    for (const { state, subject } of results ?? [])
      if (state === 'breach') reported.set(memoryKey(kind, subject), `The monitor "${other.name}" finds the same, and reports it.`)
  const window = { from: moment - monitor.windowMicros, to: Math.max(moment, deps.clock()) + 1 }
  for (const { id, check, subject, resolution } of await readAlerts(deps.db, { monitor: other.name, window, limit: maxListedAlerts }))
    if (resolution !== 'removed') reported.set(memoryKey(check, subject), `The alert ${id} of "${other.name}" is about the same.`)
  return reported
}

export function memoryKey(check: string, subject: string): string {
  return `${check} ${subject}`
}
