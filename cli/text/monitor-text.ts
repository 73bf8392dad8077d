import { durationText } from '../../kernel/values/duration.ts'
import type { CheckResult } from '../../monitoring/alerts/check-kind.ts'
import type { ListedMonitor } from '../../monitoring/alerts/monitor-list.ts'
import { watchedName } from '../../registry/monitor-spec.ts'
import { counted } from './human.ts'
import { plainText } from '../../kernel/values/plain-text.ts'
import { table } from './table.ts'

export function monitorText(monitor: ListedMonitor): string {
  const { everyMicros, windowMicros, forMicros, clearAfter, noDataMicros, severity, notify, runbook, description } = monitor
  const fires = forMicros === 0 ? 'at the first breach' : `after a breach of ${durationText(forMicros)}`
  const healthy = counted(clearAfter, 'evaluation that is fine', 'evaluations that are fine')
  return [
    `The monitor ${monitor.name}${monitor.isDefault ? ' (default)' : ''} watches ${watchedName(monitor)}.`,
    ...(description === null ? [] : [plainText(description)]),
    `It runs every ${durationText(everyMicros)}, over ${durationText(windowMicros)}. A ${severity} fires ${fires}, and is resolved after ${healthy}.`,
    noDataMicros === null ? 'It does not alarm when there is no data.' : `After ${durationText(noDataMicros)} without data a ticket fires.`,
    notify.length === 0 ? 'It notifies no channel.' : `It notifies ${notify.join(', ')}.`,
    ...(runbook === null ? [] : [`Runbook: ${plainText(runbook)}`]),
    ...monitor.checks.map(({ kind, ...options }) => `Check ${kind}: ${JSON.stringify(options)}`),
  ].join('\n')
}

export interface ShownResult {
  readonly check: string
  /** Absent: it was evaluated only to be shown. */
  readonly phase?: string
  readonly result: Pick<CheckResult, 'subject' | 'state' | 'value' | 'threshold' | 'n' | 'cause'>
}

export function resultsTable(results: readonly ShownResult[], width: number | null): string {
  const figure = (value: number | null): string => (value === null ? '' : String(Number(value.toPrecision(4))))
  return table(
    ['CHECK', 'SUBJECT', 'RESULT', 'VALUE', 'THRESHOLD', 'N', 'CAUSE'],
    results.map(({ check, phase, result }) => [
      check,
      result.subject,
      phase === undefined || phase === 'ok' ? result.state : `${result.state}, ${phase}`,
      figure(result.value),
      figure(result.threshold),
      figure(result.n),
      result.cause ?? '',
    ]),
    '',
    width,
  )
}
