import { z } from 'zod'
import { floorTo } from '../../../kernel/values/time.ts'
import { stepMicros } from '../../../monitoring/rollups/merged-rollups.ts'
import { outputsOverTime } from '../../../monitoring/rollups/outputs-over-time.ts'
import type { Chart } from '../contract/answer.ts'
import type { OverTimeData } from '../contract/model.ts'
import { overTime as overTimeContract } from '../contract/model.ts'
import { readModel } from '../read-model.ts'
import { modelAt } from './model-at.ts'
import { maxChanges, modelChanges } from './what-changed.ts'
import { outputCharts, requestsChart } from './over-time-charts.ts'

/** How many periods are shown, the present one included. */
const periodsOf = { day: 30, hour: 48 } as const

/** The answers of a model over days or hours, and the changes in that time. */
export const overTimeModel = readModel({
  path: '/models/:id/over-time',
  scope: 'ui:read',
  query: z.object({ step: z.enum(['day', 'hour']).default('day') }),
  data: overTimeContract,
  async read(ask) {
    const { db, now, isPast, query } = ask
    const { step } = query
    const { name } = await modelAt(ask, (ask.params['id'] ?? '').split('@')[0] ?? '')
    const from = floorTo(now - 1, stepMicros[step]) - (periodsOf[step] - 1) * stepMicros[step]
    const answers = await outputsOverTime(db, { model: name, from, to: now, step, isPast })
    const changes = await modelChanges(ask, name, from)
    const model = { name, step, now, answers }
    const marked = (chart: Chart): Chart => ({ ...chart, ...marksOf(changes, answers.periods, step) })
    const outputs = outputCharts(model)
    const { rows, sampledRows, backfilledRows } = answers
    const data: OverTimeData = {
      step,
      says: saysOf(step, outputs),
      requests: marked(requestsChart(model)),
      outputs: outputs.map(({ chart, ...output }) => ({ ...output, chart: marked(chart) })),
      changes,
    }
    const notes = [
      ...(backfilledRows === 0
        ? []
        : [
            `The outputs have ${backfilledRows.toLocaleString('en-US')} backfilled predictions, which do not count as requests, because no client asked for them.`,
          ]),
      ...(changes.length >= maxChanges ? [`Of the changes, only the newest are listed.`] : []),
    ]
    const sampled =
      sampledRows < rows && `${sampledRows.toLocaleString('en-US')} of ${rows.toLocaleString('en-US')} rows gave the values of outputs`
    return { data, notes, ...(sampled === false ? {} : { sampled }) }
  },
})

function saysOf(step: OverTimeData['step'], outputs: OverTimeData['outputs']): string {
  const interval = outputs.some(({ kind }) => kind === 'mean')
    ? ' The band around a mean of three rows or more is its 95 % interval, as if rows were independent: rows of the same entity make it too narrow.'
    : ''
  return `By ${step} (UTC): the last ${periodsOf[step]} ${step}s, the present one included.${interval}`
}

/** So many changes of a period are named at its mark. */
const maxNamed = 3

/** The changes at the begin of their periods, where charts have points. */
function marksOf(
  changes: OverTimeData['changes'],
  periods: readonly { readonly at: number }[],
  step: OverTimeData['step'],
): Pick<Chart, 'marks'> {
  const shown = new Set(periods.map(({ at }) => at))
  const byPeriod = Map.groupBy(changes, ({ at }) => floorTo(Date.parse(at) * 1000, stepMicros[step]))
  const points = [...byPeriod]
    .filter(([at]) => shown.has(at))
    .map(([at, of]) => {
      const more = of.length > maxNamed ? [`${of.length - maxNamed} more.`] : []
      return { t: at / 1000, text: [...of.slice(0, maxNamed).map(({ says }) => says), ...more].join(' ') }
    })
  return points.length === 0 ? {} : { marks: { label: 'changes', points } }
}
