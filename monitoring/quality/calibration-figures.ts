import { inTurns } from '../../runtime/async.ts'
import { calibrationError, reliabilityInSteps } from '../../statistics/calibration.ts'
import type { Figure, Spread } from './figure.ts'
import { figureOf } from './figure.ts'
import type { ScoreSample } from './score-sample.ts'

/** The calibration error sorts its rows. */
const maxErrorRows = 200_000

/** How far probabilities are from what came. */
export interface Calibration {
  /** The root of the mean squared error over bins of equal mass, without the bias of small bins. */
  readonly error: Figure
  /** The mean absolute error over the same bins (ECE). Biased upwards, the more the fewer rows there are. */
  readonly expected: number
  readonly bins: number
  /** null: it was not asked for. */
  readonly curve: Curve | null
}

/** CORP: Brier score = miscalibration - discrimination + uncertainty, and a curve without bins. */
export interface Curve {
  readonly miscalibration: number
  readonly discrimination: number
  readonly uncertainty: number
  /** The steps of the curve, by probability. */
  readonly steps: readonly CurveStep[]
  readonly n: number
}

export interface CurveStep {
  /** The least and the greatest probability of the step. */
  readonly from: number
  readonly to: number
  /** The share of positives. */
  readonly share: number
  /** Where a calibrated model's curve lies with probability 0.9, in the middle row of the step. */
  readonly low: number
  readonly high: number
  readonly rows: number
}

/** @param curveRows the most rows of the curve, whose band simulates 200 curves; 0: no curve */
export async function calibrationOf(
  sample: ScoreSample,
  curveRows: number,
  interval: Figure['interval'],
  spread?: Spread,
): Promise<Calibration> {
  const { scores, labels, entities } = thinned(sample, maxErrorRows)
  const { root, expected, bins } = calibrationError(scores, labels, interval === 'entities' ? { entities } : {})
  return {
    error: figureOf(root, scores.length, interval, spread),
    expected,
    bins,
    curve: curveRows > 0 ? await curveOf(sample, curveRows) : null,
  }
}

async function curveOf(sample: ScoreSample, limit: number): Promise<Curve> {
  const { scores, labels } = thinned(sample, limit)
  const { curve, miscalibration, discrimination, uncertainty } = await inTurns(reliabilityInSteps(scores, labels))
  const steps: CurveStep[] = []
  // the curve rises, so equal shares are neighbours
  for (const points of Map.groupBy(curve, ({ share }) => share).values()) {
    const [first, middle, last] = [points[0], points[(points.length - 1) >> 1], points.at(-1)]
    if (first === undefined || middle === undefined || last === undefined) continue
    const rows = points.reduce((sum, point) => sum + point.rows, 0)
    steps.push({ from: first.probability, to: last.probability, share: first.share, low: middle.low, high: middle.high, rows })
  }
  return { miscalibration, discrimination, uncertainty, steps, n: scores.length }
}

/** Rows at even distances, at most `limit`. */
function thinned(sample: ScoreSample, limit: number): { scores: number[]; labels: boolean[]; entities: number[] } {
  const [scores, labels, entities] = [sample.scores(), sample.labels(), sample.entities()]
  const size = Math.min(limit, scores.length)
  const indexes = Array.from({ length: size }, (_, i) => Math.floor((i * scores.length) / size))
  return {
    scores: indexes.map((i) => scores[i] as number),
    labels: indexes.map((i) => labels[i] === 1),
    entities: indexes.map((i) => entities[i] as number),
  }
}
