import { parseDuration } from '../../../kernel/duration.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import { readRollup, rollupSeries } from '../../rollups/read-rollups.ts'
import { stages } from '../../rollups/traffic-summary.ts'
import type { CheckKind } from '../check-kind.ts'
import { knownTo } from './known-to.ts'

type Spec = CheckOf<'latency'>

const hourMicros = 3_600_000_000
const lookMicros = 15 * 60_000_000
const historyMicros = 7 * 24 * hourMicros
/** Fewer hours say nothing about what is usual. */
const minHours = 24
/** Of the hours before, this share was faster than what is compared with. */
const usualShare = 0.9

/** Whether requests of the last 15 minutes took longer than allowed, or much longer than they usually do. */
export const latency: CheckKind<Spec> = {
  name: 'latency',
  async evaluate({ db, monitor, window }, { quantile, factor, max, minRequests }) {
    const model = watchedName(monitor)
    const to = knownTo(window.to)
    const now = await readRollup(db, { model, from: to - lookMicros, to, trafficOnly: true })
    const { count } = now.latency.total
    const value = now.latency.total.quantile(quantile)
    const base = { subject: model, value, n: count }
    const few = value === null || count < minRequests
    if (few) {
      const cause = `Only ${count} requests for "${model}" were answered in 15 minutes; ${minRequests} are needed.`
      return [{ ...base, state: 'unknown', threshold: null, evidence: { quantile }, cause }]
    }
    const history = max === undefined ? await usualMs(db, { model, to, quantile, minRequests }) : null
    const threshold = max === undefined ? (history === null ? null : factor * history.ms) : parseDuration(max) / 1000
    const parts = Object.fromEntries(stages.map((stage) => [stage, now.latency[stage].quantile(quantile)]))
    const evidence = { quantile, milliseconds: parts, usual: history?.ms ?? null, hours: history?.hours ?? null }
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
    if (value <= threshold) return [{ ...base, state: 'ok', threshold, evidence, cause: null }]
    const [slowest] = stages.filter((stage) => stage !== 'total').toSorted((a, b) => (parts[b] ?? 0) - (parts[a] ?? 0))
    const usual = history === null ? `${max} is allowed` : `${history.ms.toFixed(1)} ms is usual`
    const cause = `${quantile * 100} % of the requests for "${model}" took up to ${value.toFixed(1)} ms; ${usual}. The longest part is "${slowest}".`
    return [{ ...base, state: 'breach', threshold, evidence, cause }]
  },
}

interface Usual {
  readonly model: string
  readonly to: number
  readonly quantile: number
  readonly minRequests: number
}

/** What the quantile was in most hours of the last week; null: there are too few. */
async function usualMs(
  db: Parameters<typeof rollupSeries>[0],
  { model, to, quantile, minRequests }: Usual,
): Promise<{ readonly ms: number; readonly hours: number } | null> {
  const end = Math.floor((to - lookMicros) / hourMicros) * hourMicros
  const points = await rollupSeries(db, { model, from: end - historyMicros, to: end, step: 'hour', trafficOnly: true })
  const hourly = points
    .flatMap(({ rollup }) =>
      rollup === null || rollup.latency.total.count < minRequests ? [] : (rollup.latency.total.quantile(quantile) ?? []),
    )
    .toSorted((a, b) => a - b)
  const ms = hourly[Math.min(hourly.length - 1, Math.floor(usualShare * hourly.length))]
  return ms === undefined || hourly.length < minHours ? null : { ms, hours: hourly.length }
}
