import { answeringVersion } from '../../../registry/models/pick-version.ts'
import { dayMicros } from '../../../kernel/values/time.ts'
import { figureTitle } from '../../../monitoring/quality/figure-titles.ts'
import type { QualityReport } from '../../../monitoring/quality/quality-report.ts'
import type { StoredFigures } from '../../../monitoring/figures/stored-figures.ts'
import { figuresOverTime, newestFigures } from '../../../monitoring/figures/stored-figures.ts'
import type { CalibrationData, QualityData } from '../contract/model.ts'
import { calibration as calibrationContract, quality as qualityContract } from '../contract/model.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'
import { figureChart } from './figure-chart.ts'
import { driftLines } from './drift-lines.ts'
import { modelAt } from './model-at.ts'
import type { Figure } from '../../../monitoring/quality/figure.ts'
import { momentText, rounded } from './traffic-charts.ts'

const seriesDays = 30

export const qualityModel = readModel({
  path: '/models/:id/quality',
  scope: 'ui:read',
  data: qualityContract,
  async read(ask) {
    const { db, now } = ask
    const name = nameOf(ask)
    const stored = await newestQuality(ask)
    const points = await figuresOverTime(db, name, { from: now - seriesDays * dayMicros, to: now })
    const byFigure = Map.groupBy(points, ({ figure }) => figure)
    const report = stored?.report ?? null
    // as the figures above them
    const order = Object.keys(report?.total.figures ?? {})
    const data: QualityData = {
      finding: findingOf(stored, ask.isPast),
      metrics: Object.entries(report?.total.figures ?? {}).flatMap(([figure, { value, low, high, n }]) =>
        value === null ? [] : [{ name: figureTitle(figure), value, low, high, n, says: null }],
      ),
      overTime: [...byFigure]
        .toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b))
        .map(([figure, of]) => ({
          name: figureTitle(figure),
          chart: figureChart(name, figure, of, stored?.version),
          bound: null,
        })),
      outcome: report?.outcome ?? null,
      outcomes: outcomesText(report, ask.isPast),
      ...(await driftLines(ask, name)),
    }
    return { data, ...(report === null ? {} : { mature: report.total.immature === 0, sampled: 'logged predictions that are mature' }) }
  },
})

export const calibrationModel = readModel({
  path: '/models/:id/calibration',
  scope: 'ui:read',
  data: calibrationContract,
  async read(ask) {
    const stored = await newestQuality(ask)
    const found = stored?.report.total.calibration ?? null
    const curve = found?.curve ?? null
    if (found === null || curve === null) {
      const finding = ask.isPast
        ? 'No calibration was stored then.'
        : 'No calibration is stored: it needs outcomes of yes or no, and a worker.'
      return { data: { finding, chart: null, scores: null } }
    }
    const [n, drawn] = [found.error.n, curve.n].map((count) => count.toLocaleString('en-US'))
    const text = `${figureText('calibrationError', found.error)}, of ${n} predictions.${n === drawn ? '' : ` The curve is of ${drawn} of them.`}`
    const data: CalibrationData = {
      finding: text,
      chart: {
        finding: text,
        series: [
          {
            label: 'observed share',
            unit: 'share',
            points: curve.steps.map(({ from, to, share, rows }) => ({ t: (from + to) / 2, v: share, n: rows })),
          },
          {
            label: 'a calibrated model, with its 90 % band',
            unit: 'share',
            grey: true,
            // a line is drawn between points at neighbouring places only
            points: [
              { t: 0, v: 0 },
              ...curve.steps.map(({ from, to, low, high }) => ({ t: (from + to) / 2, v: (from + to) / 2, low, high })),
              { t: 1, v: 1 },
            ],
          },
        ],
      },
      scores: {
        finding: 'How many predictions have which probability, by the steps of the curve.',
        series: [
          { label: 'predictions', unit: 'count', points: curve.steps.map(({ from, to, rows }) => ({ t: (from + to) / 2, v: rows })) },
        ],
      },
    }
    return { data }
  },
})

function nameOf({ params }: Ask): string {
  return (params['id'] ?? '').split('@')[0] ?? ''
}

/** The newest quality of the version that answers, else of any other version. */
async function newestQuality(ask: Ask): Promise<StoredFigures<'quality'> | null> {
  const model = await modelAt(ask, nameOf(ask))
  const all = await newestFigures(ask.db, model.name, 'quality', ask.now)
  const version = answeringVersion(model)
  return all.find((each) => each.version === version) ?? all[0] ?? null
}

function findingOf(stored: StoredFigures<'quality'> | null, isPast: boolean): string {
  if (stored === null && isPast) return 'No quality was stored then.'
  if (stored === null)
    return 'No quality is stored yet: it needs an outcome, logged predictions and a worker, which stores it once an hour.'
  const { report, asOf } = stored
  const [first] = Object.entries(report.total.figures)
  const figure = first === undefined ? 'no figures' : figureText(...first)
  return `${figure}, of ${report.total.judged.toLocaleString('en-US')} mature predictions of version ${stored.version}, at ${momentText(asOf.toISOString())}.`
}

function outcomesText(report: QualityReport | null, isPast: boolean): string {
  if (report === null) return 'No outcomes were looked at.'
  const { predictions, judged, immature, withoutOutcome } = report.total
  return `${judged.toLocaleString('en-US')} of ${predictions.toLocaleString('en-US')} predictions ${isPast ? 'had' : 'have'} an outcome that counts; ${immature.toLocaleString('en-US')} ${isPast ? 'could' : 'can'} still get one; ${withoutOutcome.toLocaleString('en-US')} ${isPast ? 'had' : 'have'} none.`
}

/** `AUC 0.71 (0.69 to 0.73)`. */
function figureText(name: string, { value, low, high, reason }: Pick<Figure, 'value' | 'low' | 'high' | 'reason'>): string {
  if (value === null) return `${figureTitle(name)}: ${reason ?? 'not known'}`
  const interval = low === null || high === null ? '' : ` (${rounded(low)} to ${rounded(high)})`
  return `${figureTitle(name)} ${rounded(value)}${interval}`
}
