import { asymptoticSequence } from '../../statistics/confidence-sequence.ts'
import { requiredUnits, pooledSkewness } from '../../statistics/required-units.ts'
import { difference } from '../../statistics/lift.ts'
import type { BinnedSample } from '../../statistics/quantile-sequence.ts'
import { quantileDifference } from '../../statistics/quantile-sequence.ts'
import type { Random } from '../../statistics/random.ts'

/** How units of a metric are drawn: a numerator and a denominator, which is 1 for all but ratios. */
export interface MetricKind {
  readonly name: string
  readonly quantile?: number
  /** @param effect what is added to the mean, by which a treatment differs */
  draw(random: Random, effect: number): readonly [number, number]
}

/** Revenue is winsorized at this value, declared before the experiment: about 1.5 % of the units that buy exceed it. */
const bound = 200

export const metricKinds: readonly MetricKind[] = [
  { name: 'mean', draw: (random, effect) => [random.normal() + effect, 1] },
  { name: 'mean, skewed', draw: (random, effect) => [-Math.log(1 - random.next()) + effect, 1] },
  { name: 'proportion 5 %', draw: (random, effect) => [random.next() < 0.05 + effect ? 1 : 0, 1] },
  { name: 'proportion 50 %', draw: (random, effect) => [random.next() < 0.5 + effect ? 1 : 0, 1] },
  {
    name: 'ratio',
    draw: (random, effect) => {
      const shown = 1 + Math.floor(-3 * Math.log(1 - random.next()))
      // units differ in their rate
      const rate = 0.1 + 0.4 * random.next() + effect
      let taken = 0
      for (let i = 0; i < shown; i++) if (random.next() < rate) taken++
      return [taken, shown]
    },
  },
  {
    name: 'revenue, winsorized',
    draw: (random, effect) => [(random.next() < 0.1 ? Math.min(Math.exp(3 + 1.2 * random.normal()), bound) : 0) + effect, 1],
  },
  // rounded, as a histogram is
  { name: 'quantile .9', quantile: 0.9, draw: (random, effect) => [Math.round(20 * random.normal()) / 20 + effect, 1] },
]

/** Power sums of the units of an arm: a, b, aa, ab, bb, aaa, aab, abb, bbb. */
export type PowerSums = Float64Array

export interface Looks {
  /** Units of both arms at each look, ascending. */
  readonly at: readonly number[]
  /** The share of the treatment. */
  readonly share: number
  readonly effect: number
  readonly alpha: number
  readonly tightestAt: number
}

export interface LookedAt {
  /** Looks that were refused, as there were too few units; those after them were not. */
  readonly refused: number
  /** Units at the first look that excluded no difference; null: none did. */
  readonly foundAt: number | null
  /** Whether a look's interval missed the true effect. */
  readonly missed: boolean
  /** The first look at which the interval of a fixed horizon excluded no difference, and that at the last look. */
  readonly fixedFoundAt: number | null
  readonly fixedFound: boolean
  /** Units and power sums of both arms at each look, for other engines. */
  readonly sums: readonly number[][]
}

/** Looks of 1,000 at a growing experiment: from `first` to `last` units, each as much more as the one before. */
export function growingLooks(first: number, last: number, looks: number): number[] {
  const factor = (last / first) ** (1 / (looks - 1))
  const at: number[] = []
  for (let look = 0; look < looks; look++) at.push(Math.max((at.at(-1) ?? 0) + 1, Math.round(first * factor ** look)))
  return at
}

/** One experiment that is looked at often, from units to an answer, with what an analysis would do at each look. */
export function lookOften(kind: MetricKind, random: Random, looks: Looks, keepSums = false): LookedAt {
  const counts: [number, number] = [0, 0]
  const powers: [PowerSums, PowerSums] = [new Float64Array(9), new Float64Array(9)]
  const values = [new Map<number, number>(), new Map<number, number>()] as const
  let n = 0
  let refused = 0
  let [foundAt, fixedFoundAt]: [number | null, number | null] = [null, null]
  let [missed, fixedFound] = [false, false]
  const sums: number[][] = []
  for (const at of looks.at) {
    for (; n < at; n++) {
      const arm = random.next() < looks.share ? 1 : 0
      const [a, b] = kind.draw(random, arm === 1 ? looks.effect : 0)
      counts[arm]++
      if (kind.quantile === undefined) addPowers(powers[arm], a, b)
      else values[arm].set(a, (values[arm].get(a) ?? 0) + 1)
    }
    if (keepSums) sums.push([...counts, ...powers.flatMap((each) => Array.from(each.subarray(0, 5)))])
    const estimate = kind.quantile === undefined ? estimateOf(counts, powers) : null
    if (estimate !== null) {
      fixedFound = Math.abs(estimate.value) > 1.959963984540054 * estimate.standardError
      if (fixedFound) fixedFoundAt ??= n
      if (!(n >= requiredUnits(estimate.skewness, looks.share))) {
        refused++
        continue
      }
    }
    const { alpha, tightestAt } = looks
    const { low, high, p } =
      estimate === null
        ? quantileDifference(binned(values[0]), binned(values[1]), kind.quantile ?? 0.5, { alpha, tightestAt })
        : asymptoticSequence(estimate.value, estimate.standardError, n, { alpha, tightestAt })
    if (p <= alpha) foundAt ??= n
    if (low > looks.effect || high < looks.effect) missed = true
    // without an effect both are the same
    if (foundAt !== null && looks.effect === 0 && !keepSums) break
  }
  return { refused, foundAt, missed, fixedFoundAt, fixedFound, sums }
}

function addPowers(powers: PowerSums, a: number, b: number): void {
  const each = [a, b, a * a, a * b, b * b, a * a * a, a * a * b, a * b * b, b * b * b]
  for (let i = 0; i < 9; i++) powers[i] = (powers[i] as number) + (each[i] as number)
}

/** The difference of both arms' ratios Σ a / Σ b, linearized: a mean is a ratio to 1. */
function estimateOf(counts: readonly [number, number], powers: readonly [PowerSums, PowerSums]) {
  const arms = [linearized(counts[0], powers[0]), linearized(counts[1], powers[1])] as const
  const [control, treatment] = arms.map(({ n, mean, squares }) => ({ mean, varianceOfMean: squares / (n - 1) / n })) as [
    { mean: number; varianceOfMean: number },
    { mean: number; varianceOfMean: number },
  ]
  return { ...difference(control, treatment), skewness: pooledSkewness(arms) }
}

/** The unit's value is (a - R b) / mean b: its mean is 0. */
function linearized(n: number, powers: PowerSums) {
  const [a, b, aa, ab, bb, aaa, aab, abb, bbb] = [...powers] as [number, number, number, number, number, number, number, number, number]
  const mean = a / b
  const scale = b / n
  return {
    n,
    mean,
    squares: Math.max(0, aa - 2 * mean * ab + mean * mean * bb) / scale ** 2,
    cubes: (aaa - 3 * mean * aab + 3 * mean * mean * abb - mean ** 3 * bbb) / scale ** 3,
  }
}

function binned(values: ReadonlyMap<number, number>): BinnedSample {
  const ascending = [...values.keys()].toSorted((a, b) => a - b)
  return { from: ascending, to: ascending, counts: ascending.map((value) => values.get(value) as number) }
}
