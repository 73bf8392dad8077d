import type { BetaPrior } from './bernoulli-mixture.ts'
import { logLikelihood, logMixture } from './bernoulli-mixture.ts'
import type { LowerBound, Sequence, SequenceOptions } from './confidence-sequence.ts'

/**
 * A sample as ascending bins with counts above 0. A bin holds values from `from` to `to`, both in; they are equal where
 * the values themselves are known.
 */
export interface BinnedSample {
  readonly from: ArrayLike<number>
  readonly to: ArrayLike<number>
  readonly counts: ArrayLike<number>
}

/** The sample's own quantile: the middle of the bin that holds it. NaN of an empty sample. */
export function binnedQuantile({ from, to, counts }: BinnedSample, quantile: number): number {
  let n = 0
  for (let bin = 0; bin < counts.length; bin++) n += counts[bin] as number
  if (n === 0) return Number.NaN
  const bin = binOfRank(counts, Math.max(1, Math.ceil(n * quantile)))
  return ((from[bin] as number) + (to[bin] as number)) / 2
}

function binOfRank(counts: ArrayLike<number>, rank: number): number {
  let [bin, upTo] = [0, 0]
  while (bin < counts.length - 1 && (upTo += counts[bin] as number) < rank) bin++
  return bin
}

/**
 * The confidence sequence of the difference of a quantile, treatment minus control, exact at every n. It holds each
 * difference for which some x is plausible as the control's quantile and x + difference as the treatment's: the
 * product of the evidence of both arms is below 1/alpha. If x is the quantile, then values up to x have at least the
 * probability `quantile`, and values below x at most that; the counts of the sample are the evidence against it.
 * Source: Howard and Ramdas, Bernoulli 28 (2022), by the beta-binomial mixture.
 */
export function quantileDifference(
  control: BinnedSample,
  treatment: BinnedSample,
  quantile: number,
  options: SequenceOptions = {},
): Sequence {
  const { alpha = 0.05, nullValue = 0 } = options
  const [a, b] = [cellsOf(control, quantile, options), cellsOf(treatment, quantile, options)]
  const limit = -Math.log(alpha)
  const [first, last] = heldCells(a, limit - b.logE(b.middle))
  const [least, greatest] = heldCells(b, limit - a.logE(a.middle))
  const others = Array.from({ length: greatest - least + 1 }, (_, i) => b.logE(least + i))
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let cell = first; cell <= last; cell++) {
    const left = limit - a.logE(cell)
    const nearest = others.findIndex((logE) => logE < left)
    if (nearest < 0) continue
    low = Math.min(low, b.from(least + nearest) - a.to(cell))
    high = Math.max(high, b.to(least + others.findLastIndex((logE) => logE < left)) - a.from(cell))
  }
  const ends = [a.value + nullValue, b.value]
  const isEmpty = Number.isNaN(b.value - a.value)
  // further out both arms have more evidence against x
  const [from, to] = isEmpty ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] : [Math.min(...ends), Math.max(...ends)]
  const logE = minOver(b, from, to, (cell) => {
    const other = minOver(a, Math.max(b.from(cell), from) - nullValue, Math.min(b.to(cell), to) - nullValue, a.logE)
    return b.logE(cell) + other
  })
  const e = Math.exp(logE)
  return { value: b.value - a.value, low, high, p: Math.min(1, 1 / e), e }
}

/**
 * Evidence that the treatment's quantile exceeds `factor` times the control's, however often you look, exact at every
 * n. `low` is the ratio that it certainly exceeds. Each bin counts as its least favourable value: wide bins cost power,
 * never validity. Source: as {@link quantileDifference}, one-sided.
 *
 * @param factor above 0; values are 0 or more
 */
export function quantileRise(
  control: BinnedSample,
  treatment: BinnedSample,
  quantile: number,
  factor: number,
  options: Omit<SequenceOptions, 'nullValue'> = {},
): LowerBound {
  const { alpha = 0.05 } = options
  const [a, b] = [cellsOf(control, quantile, options), cellsOf(treatment, quantile, options)]
  const limit = -Math.log(alpha)
  let low = Number.POSITIVE_INFINITY
  let logE = Number.POSITIVE_INFINITY
  let [reached, allowed] = [0, b.count - 1]
  // as x grows, the control says more against it and the treatment less
  for (let cell = 0; cell < a.count; cell++) {
    const against = hedged(a.logAbove(cell))
    while (reached < b.count - 1 && b.from(reached + 1) <= factor * a.to(cell)) reached++
    logE = Math.min(logE, against + hedged(b.logBelow(reached)))
    if (against >= limit) continue
    while (allowed > 0 && against + hedged(b.logBelow(allowed - 1)) < limit) allowed--
    while (allowed < b.count - 1 && against + hedged(b.logBelow(allowed)) >= limit) allowed++
    low = Math.min(low, Math.max(0, b.from(allowed)) / a.to(cell))
  }
  const e = Math.exp(logE)
  return { value: b.value / a.value, low, p: Math.min(1, 1 / e), e }
}

/** The mean of an e-value and 1, so that what one arm lacks never undoes the evidence of the other. */
function hedged(logE: number): number {
  return Math.max(0, logE) + Math.log1p(Math.exp(-Math.abs(logE))) - Math.LN2
}

/** The bins of a sample and the gaps around them, in turn: gap, bin, gap, bin, …, gap. Each x lies in one of them. */
interface Cells {
  readonly count: number
  /** The sample's own quantile, and its cell. */
  readonly value: number
  readonly middle: number
  from(cell: number): number
  to(cell: number): number
  /**
   * Evidence against the cell as the place of the quantile: that fewer, or more, values than `quantile` are up to it.
   */
  logBelow(cell: number): number
  logAbove(cell: number): number
  /** The mean of both. */
  logE(cell: number): number
}

function cellsOf({ from, to, counts }: BinnedSample, quantile: number, { alpha = 0.05, tightestAt = 1000 }: SequenceOptions): Cells {
  const bins = counts.length
  const upTo = new Float64Array(bins + 1)
  for (let bin = 0; bin < bins; bin++) upTo[bin + 1] = (upTo[bin] as number) + (counts[bin] as number)
  const n = upTo[bins] as number
  // the weight of the prior is the inverse of ρ² of the asymptotic sequence
  const weight = tightestAt / (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1))
  const prior: BetaPrior = [weight * quantile, weight * (1 - quantile)]
  const evidence = (successes: number, isNull: boolean): number =>
    logMixture({ successes, n }, prior) - logLikelihood({ successes, n }, isNull ? successes / n : quantile)
  const logBelow = (cell: number): number => {
    const most = upTo[(cell + 1) >> 1] as number
    return n === 0 ? 0 : evidence(most, most >= n * quantile)
  }
  const logAbove = (cell: number): number => {
    const least = upTo[cell >> 1] as number
    return n === 0 ? 0 : evidence(least, least <= n * quantile)
  }
  return {
    count: 2 * bins + 1,
    value: binnedQuantile({ from, to, counts }, quantile),
    middle: n === 0 ? 0 : 2 * binOfRank(counts, Math.max(1, Math.ceil(n * quantile))) + 1,
    from: (cell) => (cell === 0 ? Number.NEGATIVE_INFINITY : ((cell % 2 === 1 ? from[cell >> 1] : to[(cell >> 1) - 1]) as number)),
    to: (cell) => (cell === 2 * bins ? Number.POSITIVE_INFINITY : ((cell % 2 === 1 ? to : from)[cell >> 1] as number)),
    logBelow,
    logAbove,
    logE: (cell) => {
      const [below, above] = [logBelow(cell), logAbove(cell)]
      const greatest = Math.max(below, above)
      return greatest + Math.log((Math.exp(below - greatest) + Math.exp(above - greatest)) / 2)
    },
  }
}

/** The first and the last cell around the middle with less evidence than the limit. */
function heldCells(cells: Cells, limit: number): readonly [number, number] {
  let [first, last] = [cells.middle, cells.middle]
  // a gap has more evidence than the bins beside it
  while (first > 0 && cells.logE(Math.max(0, first - 2)) < limit) first = Math.max(0, first - 2)
  while (last < cells.count - 1 && cells.logE(Math.min(cells.count - 1, last + 2)) < limit) last = Math.min(cells.count - 1, last + 2)
  return [first, last]
}

/** The least of `of` over cells that touch the range. */
function minOver(cells: Cells, from: number, to: number, of: (cell: number) => number): number {
  let [first, last] = [0, cells.count - 1]
  while (first < last) {
    const half = (first + last) >> 1
    if (cells.to(half) < from) first = half + 1
    else last = half
  }
  let least = Number.POSITIVE_INFINITY
  for (let cell = first; cell < cells.count && cells.from(cell) <= to; cell++) least = Math.min(least, of(cell))
  return least
}
