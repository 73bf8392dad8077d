import { parseDuration } from '../../../kernel/values/duration.ts'
import { formatShare } from '../../../kernel/values/format-number.ts'
import { hourMicros } from '../../../kernel/values/time.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { readRollup, rollupSeries } from '../../rollups/read-rollups.ts'
import { stages } from '../../rollups/traffic-summary.ts'
import type { CheckKind } from '../check-kind.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import type { LatencyRule, UsualLatency } from './latency-verdict.ts'
import { quantileLowerBound, usualLatency } from './latency-verdict.ts'

type Spec = CheckOf<'latency'>

const lookMicros = 15 * 60_000_000
const historyMicros = 7 * 24 * hourMicros

/** Whether requests of the last 15 minutes took longer than allowed, or much longer than they usually do. */
export const latency: CheckKind<Spec> = async ({ db, monitor, window }, { quantile, factor, max, minRequests }) => {
  const model = watchedName(monitor)
  const to = writtenUntil(window.to)
  const now = await readRollup(db, { model, from: to - lookMicros, to, trafficOnly: true })
  const { count } = now.latency.total
  const value = now.latency.total.quantile(quantile)
  const base = { subject: model, value, n: count }
  const few = value === null || count < minRequests
  if (few) {
    const cause = `Only ${count} requests for "${model}" were answered in 15 minutes; ${minRequests} are needed.`
    return [{ ...base, state: 'unknown', threshold: null, evidence: { quantile }, cause }]
  }
  const history = max === undefined ? await usualOf(db, model, to, { quantile, factor, minRequests }) : null
  const threshold = max === undefined ? (history === null ? null : factor * history.ms) : parseDuration(max) / 1000
  const parts = Object.fromEntries(stages.map((stage) => [stage, now.latency[stage].quantile(quantile)]))
  const least = quantileLowerBound(now.latency.total, quantile) ?? value
  const evidence = { quantile, milliseconds: parts, atLeast: least, usual: history?.ms ?? null, hours: history?.hours ?? null }
  if (threshold === null)
    return [
      {
        ...base,
        state: 'unknown',
        threshold,
        evidence,
        cause: `There is too little history of "${model}" to know how long it usually takes.`,
      },
    ]
  if ((max === undefined ? least : value) <= threshold) return [{ ...base, state: 'ok', threshold, evidence, cause: null }]
  const [slowest] = stages.filter((stage) => stage !== 'total').toSorted((a, b) => (parts[b] ?? 0) - (parts[a] ?? 0))
  const usual = history === null ? `${max} is allowed` : `${history.ms.toFixed(1)} ms is usual at this time of day`
  const cause = `${formatShare(quantile, 6)} of the requests for "${model}" took up to ${value.toFixed(1)} ms; ${usual}. The longest part is "${slowest}".`
  return [{ ...base, state: 'breach', threshold, evidence, cause }]
}

/** What the quantile was in most hours of the last week at about this time of day; null: there are too few. */
async function usualOf(db: Database, model: string, to: number, rule: LatencyRule): Promise<UsualLatency | null> {
  const end = Math.floor((to - lookMicros) / hourMicros) * hourMicros
  const points = await rollupSeries(db, { model, from: end - historyMicros, to: end, step: 'hour', trafficOnly: true })
  const hours = points.flatMap(({ at, rollup }) => (rollup === null ? [] : [{ hour: at / hourMicros, total: rollup.latency.total }]))
  return usualLatency(hours, Math.floor(to / hourMicros), rule)
}
