import { formatTimestamp, hourMicros } from '../../../kernel/values/time.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { SeriesPoint } from '../../rollups/read-rollups.ts'
import { rollupSeries } from '../../rollups/read-rollups.ts'
import type { CheckKind } from '../check-kind.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import { trafficVerdict } from './traffic-anomaly.ts'

type Spec = CheckOf<'traffic'>

const weekMicros = 168 * hourMicros
/** An hour of which more is missing is a gap. */
const minMinutes = 50

/** Whether the requests of the last complete hour are unusual for that hour of the week. */
export const traffic: CheckKind<Spec> = async ({ db, monitor, window }, { score, minChange, weeks }) => {
  const model = watchedName(monitor)
  const to = Math.floor(writtenUntil(window.to) / hourMicros) * hourMicros
  const from = to - weeks * weekMicros - hourMicros
  const points = await rollupSeries(db, { model, from, to, step: 'hour', trafficOnly: true })
  const hours = points.flatMap(hourOf)
  const now = hours.find(({ at }) => at === to - hourMicros)
  const history = hours.filter(({ at }) => at < to - hourMicros)
  const base = { subject: model, threshold: score, n: history.length }
  const evidence = { hour: (to - hourMicros) / 1e6, requests: now?.value ?? null }
  if (now === undefined) {
    const isFirst = points.every(({ at, rollup }) => rollup === null || at >= to - hourMicros)
    const cause = isFirst ? await firstHourText(db, model, to - hourMicros) : gapText(model, points.at(-1))
    return [{ ...base, state: 'unknown', value: null, evidence, cause }]
  }
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
}

function gapText(model: string, hour: SeriesPoint | undefined): string {
  const minutes = hour?.rollup?.coverage.minutes ?? 0
  const written = minutes === 0 ? 'no server wrote its counts' : `servers wrote the counts of ${minutes} of its minutes`
  return `The last hour of "${model}" is a gap: ${written}.`
}

/** The text for a model without an earlier measured hour. */
async function firstHourText(db: Pick<Database, 'query'>, model: string, from: number): Promise<string> {
  const [first] = await db.query<{ at: number | null }>(
    'SELECT (extract(epoch FROM min(at)) * 1000000)::float8 AS at FROM lockstep.rollups WHERE at >= to_timestamp($1::float8 / 1000000)',
    [from],
  )
  const at = first?.at ?? null
  return at === null
    ? 'No server has written counts yet.'
    : `There is no complete hour of "${model}" yet: servers have written counts since ${formatTimestamp(at)}.`
}

function hourOf({ at, rollup }: SeriesPoint) {
  if (rollup === null || rollup.coverage.minutes < minMinutes || rollup.coverage.missing.length > 0) return []
  return [{ at, value: rollup.requests, hourOfWeek: Math.floor(at / hourMicros) % 168 }]
}
