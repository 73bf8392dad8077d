import { ascendingOrder } from './ascending-order.ts'
import { studentQuantile } from './distributions.ts'
import { type Estimate, criticalValue } from './interval.ts'
import { type ScoreGroups, groupByScore, isotonic } from './isotonic.ts'
import { type Random, createRandom } from './random.ts'
import { type Steps, runSteps } from './steps.ts'

/** How far probabilities are from shares of positives, over bins of equal mass. */
export interface CalibrationError {
  /** The expected calibration error: the mean of |mean probability - share of positives| by bin. Biased upwards. */
  readonly expected: number
  /** The root of the mean squared difference without the bias of small bins; 0 where the estimate is below 0. */
  readonly root: Estimate
  readonly bins: number
}

const bootstraps = 200

export interface CalibrationOptions {
  readonly bins?: number
  readonly alpha?: number
  /** By row: its entity, where rows of one entity depend on each other. Absent: all rows are independent. */
  readonly entities?: ArrayLike<number> | undefined
}

interface Bin {
  rows: number
  positives: number
  probability: number
}

/**
 * Source of the root without bias: Kumar, Liang and Ma, NeurIPS 2019, section 5. Its interval is that of the mean
 * square: the differences d of the bins are normal with the covariance C, so Σ w d² varies by Σ w w' (2 C² + 4 C E(d)
 * E(d')). A bootstrap of either error would be wrong near 0, where resampling adds the bias once more.
 *
 * C is that of a binomial share; if rows of one entity depend on each other, that of the jackknife which leaves out one
 * entity after the other (Bell and McCaffrey, Survey Methodology 28, 2002). If one entity has all rows of a bin, whose
 * variance is not known then, there are half as many bins.
 */
export function calibrationError(
  probabilities: readonly number[],
  labels: readonly boolean[],
  { bins = 15, alpha = 0.05, entities }: CalibrationOptions = {},
): CalibrationError {
  const n = probabilities.length
  const used = Math.max(1, Math.min(bins, Math.floor(n / 2)))
  const binOf = new Uint32Array(n)
  const sums = Array.from({ length: used }, (): Bin => ({ rows: 0, positives: 0, probability: 0 }))
  for (const [rank, index] of ascendingOrder(probabilities).entries()) {
    binOf[index] = Math.floor((rank * used) / n)
    const bin = sums[binOf[index]] as Bin
    bin.rows++
    bin.probability += probabilities[index] as number
    if (labels[index] === true) bin.positives++
  }
  const differences = sums.map(({ rows, positives, probability }) => (probability - positives) / rows)
  const residual = (row: number): number => (probabilities[row] as number) - (labels[row] === true ? 1 : 0)
  const { bias, covariance, degrees } =
    entities === undefined ? ofIndependentRows(sums) : ofEntities(sums, differences, { entities, binOf, residual })
  if (used > 1 && !bias.every(Number.isFinite)) return calibrationError(probabilities, labels, { bins: used >> 1, alpha, entities })
  let [expected, squared, variance] = [0, 0, 0]
  for (const [b, difference] of differences.entries()) {
    const weight = (sums[b] as Bin).rows / n
    const square = difference * difference - (bias[b] as number)
    expected += weight * Math.abs(difference)
    squared += weight * square
    for (const [c, other] of differences.entries()) {
      const both = covariance(b, c)
      const product = b === c ? Math.max(0, square) : difference * other
      variance += weight * ((sums[c] as Bin).rows / n) * both * (2 * both + 4 * product)
    }
  }
  const critical = degrees === null ? criticalValue(alpha) : studentQuantile(1 - alpha / 2, degrees)
  const half = critical * Math.sqrt(Math.max(0, variance))
  const root = (square: number): number => Math.sqrt(Math.max(0, square))
  return { expected, root: { value: root(squared), low: root(squared - half), high: root(squared + half), n }, bins: used }
}

/** How the differences of the bins vary. */
interface Variation {
  /** By bin: the mean of d² if the probabilities are right. */
  readonly bias: readonly number[]
  readonly covariance: (bin: number, other: number) => number
  /** Degrees of freedom of the covariance; null: many. */
  readonly degrees: number | null
}

function ofIndependentRows(bins: readonly Bin[]): Variation {
  const varianceOf = (positives: number, rows: number): number => ((positives / rows) * (1 - positives / rows)) / (rows - 1)
  // a bin without positives varies too: its interval takes Laplace's share
  const variances = bins.map(({ positives, rows }) => {
    const isPure = positives === 0 || positives === rows
    return rows < 2 ? 0 : isPure ? varianceOf(positives + 1, rows + 2) : varianceOf(positives, rows)
  })
  return {
    bias: bins.map(({ positives, rows }) => (rows < 2 ? 0 : varianceOf(positives, rows))),
    covariance: (bin, other) => (bin === other ? (variances[bin] as number) : 0),
    degrees: null,
  }
}

interface EntityRows {
  readonly entities: ArrayLike<number>
  readonly binOf: Uint32Array
  readonly residual: (row: number) => number
}

function ofEntities(bins: readonly Bin[], differences: readonly number[], { entities, binOf, residual }: EntityRows): Variation {
  const n = binOf.length
  const width = bins.length
  // by entity: the sums of its residuals by bin, then its rows by bin
  const byEntity = new Map<number, Float64Array>()
  for (const [row, bin] of binOf.entries()) {
    const entity = entities[row] as number
    let own = byEntity.get(entity)
    if (own === undefined) byEntity.set(entity, (own = new Float64Array(2 * width)))
    own[bin] = (own[bin] as number) + residual(row)
    own[width + bin] = (own[width + bin] as number) + 1
  }
  const covariance = new Float64Array(width * width)
  let squaredRows = 0
  const moved = new Float64Array(width)
  for (const own of byEntity.values()) {
    let rows = 0
    const touched: number[] = []
    for (let bin = 0; bin < width; bin++) {
      const inBin = own[width + bin] as number
      if (inBin === 0) continue
      rows += inBin
      touched.push(bin)
      moved[bin] = ((own[bin] as number) - (differences[bin] as number) * inBin) / ((bins[bin] as Bin).rows - inBin)
    }
    squaredRows += rows * rows
    for (const a of touched)
      for (const b of touched)
        covariance[a * width + b] = (covariance[a * width + b] as number) + (moved[a] as number) * (moved[b] as number)
  }
  const scale = (byEntity.size - 1) / byEntity.size
  return {
    bias: bins.map((_, bin) => (covariance[bin * width + bin] as number) * scale),
    covariance: (bin, other) => (covariance[bin * width + other] as number) * scale,
    degrees: Math.max(1, (n * n) / squaredRows - 1),
  }
}

export interface Reliability {
  /** The calibration curve: by distinct probability, the share of positives that isotonic regression finds. */
  readonly curve: readonly ReliabilityPoint[]
  /** Brier score = miscalibration - discrimination + uncertainty. */
  readonly brier: number
  readonly miscalibration: number
  readonly discrimination: number
  readonly uncertainty: number
}

export interface ReliabilityPoint {
  readonly probability: number
  readonly share: number
  readonly rows: number
  /** Where the curve of a calibrated model lies with a probability of 90 %, point by point. */
  readonly low: number
  readonly high: number
}

/**
 * The CORP reliability diagram: isotonic regression in place of bins, with a consistency band from 200 simulated sets
 * of labels under the given probabilities. Source: Dimitriadis, Gneiting and Jordan, PNAS 118 (2021).
 */
export function reliability(...parameters: Parameters<typeof reliabilityInSteps>): Reliability {
  return runSteps(reliabilityInSteps(...parameters))
}

/** As {@link reliability}. */
export function* reliabilityInSteps(probabilities: readonly number[], labels: readonly boolean[]): Steps<Reliability> {
  const groups = groupByScore(probabilities, labels)
  const curve = isotonic(groups)
  const n = probabilities.length
  const base = groups.positives.reduce((sum, count) => sum + count, 0) / n
  const score = (forecast: (group: number) => number): number =>
    groups.rows.reduce((sum, rows, g) => {
      const positives = groups.positives[g] as number
      const f = forecast(g)
      return sum + positives * (1 - f) ** 2 + (rows - positives) * f * f
    }, 0) / n
  const [own, recalibrated, constant] = [score((g) => groups.scores[g] as number), score((g) => curve[g] as number), score(() => base)]
  const band = yield* consistencyBand(groups, createRandom(n))
  return {
    curve: groups.scores.map((probability, g) => ({
      probability,
      share: curve[g] as number,
      rows: groups.rows[g] as number,
      low: band.low[g] as number,
      high: band.high[g] as number,
    })),
    brier: own,
    miscalibration: own - recalibrated,
    discrimination: constant - recalibrated,
    uncertainty: constant,
  }
}

function* consistencyBand({ scores, rows }: ScoreGroups, random: Random): Steps<{ low: number[]; high: number[] }> {
  const simulated: number[][] = []
  while (simulated.length < bootstraps) {
    simulated.push(isotonic({ rows, positives: rows.map((count, g) => binomial(count, scores[g] as number, random)) }))
    yield
  }
  const sorted = scores.map((_, g) => simulated.map((curve) => curve[g] as number).sort((a, b) => a - b))
  return { low: sorted.map((values) => quantile(values, 0.05)), high: sorted.map((values) => quantile(values, 0.95)) }
}

/** The number of successes in `n` draws. By the normal approximation where both kinds number 100 or more. */
function binomial(n: number, p: number, random: Random): number {
  if (n * Math.min(p, 1 - p) >= 100) return Math.min(n, Math.max(0, Math.round(n * p + random.normal() * Math.sqrt(n * p * (1 - p)))))
  let successes = 0
  for (let i = 0; i < n; i++) if (random.next() < p) successes++
  return successes
}

/** Linear between the order statistics (Hyndman and Fan, type 7). */
export function quantile(sorted: readonly number[], p: number): number {
  const at = (sorted.length - 1) * p
  const below = Math.floor(at)
  const low = sorted[below] as number
  return low + (at - below) * ((sorted[Math.min(below + 1, sorted.length - 1)] as number) - low)
}
