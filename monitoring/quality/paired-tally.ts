import { inTurns } from '../../runtime/async.ts'
import { aucDifferenceInSteps } from '../../statistics/auc.ts'
import { surprise } from '../../statistics/quality-scores.ts'
import type { EntityTally } from './entity-tally.ts'
import { createEntityTally } from './entity-tally.ts'
import type { Figure } from './figure.ts'
import { figureOf, minRows, noFigure } from './figure.ts'
import type { Judge } from './judge.ts'
import { createScoreSample } from './score-sample.ts'

/** A figure of one version minus that of another, over the same rows. */
export interface FigureDifference extends Figure {
  /** `unclear`: the interval contains 0, or there is no value. */
  readonly verdict: 'better' | 'worse' | 'unclear'
}

/** The answers of two versions for one row, and its label, as the judge reads them. */
export interface PairedRow {
  /** A hash of the entity's key. */
  readonly entity: number
  readonly score: number | string
  readonly against: number | string
  readonly outcome: number | string
}

/** Compares two versions on rows that both have answered. */
export interface PairedTally {
  add(row: PairedRow): void
  readonly rows: number
  /** How many entities; null: more than are kept apart. */
  entities(): number | null
  /** Other work of the process runs in between. */
  finish(): Promise<Readonly<Record<string, FigureDifference>>>
}

export const lowerIsBetter: ReadonlySet<string> = new Set(['logLoss', 'brier', 'rmse', 'mae'])

/** @param limit how many scores are kept for AUC */
export function createPairedTally(judge: Judge, limit: number): PairedTally {
  const { add, sums, names, differences } = judge.kind === 'binary' ? binaryPairs(judge, limit) : errorPairs(judge.kind)
  return {
    add,
    get rows() {
      return sums.rows
    },
    entities: sums.entities,
    async finish() {
      const { rows } = sums
      const few = `${rows} ${rows === 1 ? 'row has' : 'rows have'} a label and a prediction of both versions, and ${minRows} are needed`
      const figures = rows < minRows ? names.map((name) => [name, noFigure(few, rows)] as const) : Object.entries(await differences())
      return Object.fromEntries(figures.map(([name, figure]) => [name, { ...figure, verdict: verdictOf(name, figure) }]))
    },
  }
}

export function verdictOf(name: string, { low, high }: Pick<Figure, 'low' | 'high'>): FigureDifference['verdict'] {
  if (low === null || high === null || (low <= 0 && high >= 0)) return 'unclear'
  return low > 0 === lowerIsBetter.has(name) ? 'worse' : 'better'
}

/** Its sums: of the version, of what it is compared with, and of the row. */
const [decided, hit, otherDecided, otherHit, positive, surprised, squared, right, one] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const

/** `times` the sum of `part` over those of `of`. */
interface Ratio {
  readonly part: number
  readonly of: readonly number[]
  readonly times: number
}

function binaryPairs({ threshold, decides }: Judge, limit: number) {
  const sums = createEntityTally(one + 1)
  const values = new Float64Array(one + 1).fill(1)
  // both get the same rows in the same order, so both keep the same ones
  const [scores, others] = [createScoreSample(limit, { withEntities: true }), createScoreSample(limit)]
  let areProbabilities = !decides

  function ratioDifference(first: Ratio, second: Ratio): Figure {
    const slopes: Record<number, number> = {}
    const valueOf = ({ part, of, times }: Ratio, sign: number): number => {
      const whole = of.reduce((sum, place) => sum + sums.sum(place), 0)
      const value = (times * sums.sum(part)) / whole
      const slope = (sign * sums.rows) / whole
      for (const [place, weight] of [[part, times] as const, ...of.map((each) => [each, -value] as const)])
        slopes[place] = (slopes[place] ?? 0) + weight * slope
      return value
    }
    return linearized(sums, one, valueOf(first, 1) - valueOf(second, -1), slopes)
  }

  return {
    sums,
    names: ['auc', 'logLoss', 'brier', 'accuracy', 'precision', 'recall', 'f1'],
    add({ entity, score: first, against, outcome }: PairedRow): void {
      const [score, other, label] = [Number(first), Number(against), Number(outcome)]
      if (!(score >= 0 && score <= 1 && other >= 0 && other <= 1)) areProbabilities = false
      const [decision, otherDecision] = [score >= threshold ? 1 : 0, other >= threshold ? 1 : 0]
      values[decided] = decision
      values[hit] = decision * label
      values[otherDecided] = otherDecision
      values[otherHit] = otherDecision * label
      values[positive] = label
      values[surprised] = areProbabilities ? surprise(score, label === 1) - surprise(other, label === 1) : 0
      values[squared] = (score - label) ** 2 - (other - label) ** 2
      values[right] = (decision === label ? 1 : 0) - (otherDecision === label ? 1 : 0)
      scores.add(score, label, { entity: sums.add(entity, values) })
      others.add(other, label)
    },
    async differences(): Promise<Record<string, Figure>> {
      const n = sums.rows
      const positives = Math.round(sums.sum(positive))
      const entities = sums.interval() === 'entities' ? scores.entities() : undefined
      const noProbabilities = noFigure(decides ? 'the output is a decision, and no probability' : 'scores are not within 0 and 1', n)
      return {
        auc:
          positives === 0 || positives === n
            ? noFigure(`all ${n} labels are ${positives === 0 ? 'negative' : 'positive'}, and both kinds are needed`, n)
            : figureOf(
                await inTurns(aucDifferenceInSteps(scores.scores(), others.scores(), scores.labels(), { entities })),
                scores.size,
                sums.interval(),
              ),
        logLoss: areProbabilities ? sums.mean(surprised) : noProbabilities,
        brier: areProbabilities ? sums.mean(squared) : noProbabilities,
        accuracy: sums.mean(right),
        precision: ratioDifference({ part: hit, of: [decided], times: 1 }, { part: otherHit, of: [otherDecided], times: 1 }),
        recall: ratioDifference({ part: hit, of: [positive], times: 1 }, { part: otherHit, of: [positive], times: 1 }),
        f1: ratioDifference({ part: hit, of: [decided, positive], times: 2 }, { part: otherHit, of: [otherDecided, positive], times: 2 }),
      }
    },
  }
}

/** For labels that are numbers or classes. */
function errorPairs(kind: 'number' | 'category') {
  const [square, otherSquare, absolute, wasRight, each] = [0, 1, 2, 3, 4] as const
  const sums = createEntityTally(each + 1)
  const values = new Float64Array(each + 1).fill(1)
  return {
    sums,
    names: kind === 'number' ? ['rmse', 'mae'] : ['accuracy'],
    add({ entity, score, against, outcome }: PairedRow): void {
      if (kind === 'number') {
        const [error, other] = [Number(score) - Number(outcome), Number(against) - Number(outcome)]
        values[square] = error * error
        values[otherSquare] = other * other
        values[absolute] = Math.abs(error) - Math.abs(other)
      }
      values[wasRight] = (score === outcome ? 1 : 0) - (against === outcome ? 1 : 0)
      sums.add(entity, values)
    },
    async differences(): Promise<Record<string, Figure>> {
      if (kind === 'category') return { accuracy: sums.mean(wasRight) }
      const [root, otherRoot] = [square, otherSquare].map((place) => Math.sqrt(sums.sum(place) / sums.rows)) as [number, number]
      const slopes = { [square]: 1 / (2 * root), [otherSquare]: -1 / (2 * otherRoot) }
      return { rmse: linearized(sums, each, root - otherRoot, slopes), mae: sums.mean(absolute) }
    },
  }
}

/**
 * A smooth function of means with its interval: that of the mean of its linear part, by entity. Source: Binder,
 * International Statistical Review 51 (1983), section 2.
 *
 * @param ones the place whose sum is the number of rows
 * @param slopes by place: the derivative of the function by the mean
 */
function linearized(sums: EntityTally, ones: number, value: number, slopes: Readonly<Record<number, number>>): Figure {
  const { low, high, interval } = sums.ratio(slopes, { [ones]: 1 })
  const half = low === null || high === null ? Number.NaN : (high - low) / 2
  return figureOf({ value, low: value - half, high: value + half, n: sums.rows }, sums.rows, interval)
}
