import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { SeriesPoint } from '../../rollups/read-rollups.ts'
import { rollupSeries } from '../../rollups/read-rollups.ts'
import type { CheckKind } from '../check-kind.ts'
import { knownTo } from './known-to.ts'
import { trafficVerdict } from './traffic-anomaly.ts'

type Spec = CheckOf<'traffic'>

const hourMicros = 3_600_000_000
const weekMicros = 168 * hourMicros
/** An hour of which more is missing is a gap. */
const minMinutes = 50

/** Whether the requests of the last complete hour are unusual for that hour of the week. */
export const traffic: CheckKind<Spec> = {
  name: 'traffic',
  async evaluate({ db, monitor, window }, { score, minChange, weeks }) {
    const model = watchedName(monitor)
    const to = Math.floor(knownTo(window.to) / hourMicros) * hourMicros
    const points = await rollupSeries(db, { model, from: to - weeks * weekMicros - hourMicros, to, step: 'hour', trafficOnly: true })
    const hours = points.flatMap(hourOf)
    const now = hours.find(({ at }) => at === to - hourMicros)
    const history = hours.filter(({ at }) => at < to - hourMicros)
    const base = { subject: model, threshold: score, n: history.length }
    const evidence = { hour: (to - hourMicros) / 1e6, requests: now?.value ?? null }
    if (now === undefined)
      return [
        { ...base, state: 'unknown', value: null, evidence, cause: `The last hour of "${model}" is a gap: no server wrote its counts.` },
      ]
    const verdict = trafficVerdict(history, now, { score, minChange })
    if (verdict === null)
      return [
        { ...base, state: 'unknown', value: null, evidence, cause: `There is too little history of "${model}" at this hour of the week.` },
      ]
    const facts = { ...evidence, usual: verdict.median, change: verdict.change, history: verdict.n }
    if (!verdict.anomalous) return [{ ...base, state: 'ok', value: verdict.score, evidence: facts, cause: null }]
    const way = verdict.change < 0 ? 'fewer' : 'more'
    const cause = `"${model}" was asked ${now.value} times in the last complete hour; ${Math.round(verdict.median)} are usual at that time. Check the clients, or what else sends ${way} requests.`
    return [{ ...base, state: 'breach', value: verdict.score, evidence: facts, cause }]
  },
}

function hourOf({ at, rollup }: SeriesPoint) {
  if (rollup === null || rollup.coverage.minutes < minMinutes || rollup.coverage.missing.length > 0) return []
  return [{ at, value: rollup.requests, hourOfWeek: Math.floor(at / hourMicros) % 168 }]
}
