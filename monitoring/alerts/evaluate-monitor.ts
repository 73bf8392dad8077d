import { messageOf } from '../../kernel/errors.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { CheckSpec } from '../../registry/define/check-options.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { CheckResult, SharedReads } from './check-kind.ts'
import { evaluateCheck } from './checks/all-checks.ts'
import type { ActiveMonitor } from './default-monitors.ts'
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
      checked.push({ kind: spec.kind, results, error: null })
    } catch (error) {
      if (signal.aborted || isTemporary(error)) throw error
      checked.push({ kind: spec.kind, results: null, error: messageOf(error) })
    }
  }
  return monitor.yieldsTo === undefined ? checked : await withoutFiring(db, monitor.yieldsTo, checked)
}

/** A breach that an alert of another monitor says already is unknown here: one fault is one alert. */
async function withoutFiring(db: Database, monitor: string, checked: readonly CheckedResults[]): Promise<CheckedResults[]> {
  const alerts = await readAlerts(db, { monitor, state: 'firing', limit: maxListedAlerts })
  const firing = new Map(alerts.map((alert) => [memoryKey(alert.check, alert.subject), alert.id]))
  return checked.map(({ kind, results, error }) => ({
    kind,
    error,
    results:
      results?.map((result): CheckResult => {
        const alert = firing.get(memoryKey(kind, result.subject))
        if (alert === undefined || result.state !== 'breach') return result
        return { ...result, state: 'unknown', cause: `The alert ${alert} of "${monitor}" is about the same.` }
      }) ?? null,
  }))
}

export function memoryKey(check: string, subject: string): string {
  return `${check} ${subject}`
}
