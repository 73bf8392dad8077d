import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import { wasserstein } from '../../statistics/drift-distances.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { type Random, createRandom } from '../../statistics/random.ts'

/** Windows without any drift, and how often each method calls them drifted. */
export interface FalseAlarms {
  /** Rows of the baseline and of the window. */
  readonly baseline: number
  readonly window: number
  /** Mean rows by entity: 1 is independent rows. */
  readonly rowsPerEntity: number
  readonly repeats: number
  /** Alarms of the drift test over 5 %; null where it gives no p-value for half of the windows or more. */
  readonly ratio: number | null
  /** The same of a chi-squared test on the same bins that takes rows for independent. */
  readonly ratioIndependent: number
  /**
   * Evidently's default for numbers: Kolmogorov and Smirnov with p < 0.05 up to 1,000 rows of baseline, and above
   * Wasserstein's distance over the standard deviation >= 0.1, which has no level: its share of alarms.
   */
  readonly evidently: number
}

/** Deciles of the standard normal distribution. */
const edges = [
  -1.2815515655446, -0.8416212335729, -0.524400512708, -0.2533471031358, 0, 0.2533471031358, 0.524400512708, 0.8416212335729,
].concat([1.2815515655446])

interface Sample {
  readonly sums: ReturnType<typeof createEntitySums>
  readonly values: Float64Array
}

/** A sample whose entities explain 80 % of the variance of their rows; entities have geometric numbers of rows. */
function draw(random: Random, rows: number, mean: number): Sample {
  const sums = createEntitySums(edges.length + 1)
  const values = new Float64Array(rows)
  const shared = mean === 1 ? 0 : Math.sqrt(0.8)
  for (let at = 0; at < rows;) {
    const wanted = mean === 1 ? 1 : 1 + Math.floor(Math.log(1 - random.next()) / Math.log(1 - 1 / mean))
    const size = Math.min(rows - at, wanted)
    const own = shared * random.normal()
    const bins: number[] = []
    for (let i = 0; i < size; i++) {
      const value = own + Math.sqrt(1 - shared * shared) * random.normal()
      values[at + i] = value
      bins.push(binOf(value))
    }
    addEntity(sums, bins)
    at += size
  }
  return { sums, values: values.sort() }
}

function binOf(value: number): number {
  let bin = 0
  while (bin < edges.length && value > (edges[bin] as number)) bin++
  return bin
}

/** Counts the alarms over `repeats` pairs of samples from one distribution. */
export function falseAlarms(baseline: number, window: number, rowsPerEntity: number, repeats: number): FalseAlarms {
  const random = createRandom(baseline + 31 * window + 997 * rowsPerEntity)
  let [tests, alarms, independent, evidently] = [0, 0, 0, 0]
  for (let i = 0; i < repeats; i++) {
    const [first, second] = [draw(random, baseline, rowsPerEntity), draw(random, window, rowsPerEntity)]
    const { p } = driftTest(clusteredShares(first.sums), clusteredShares(second.sums))
    if (p !== null) tests++
    if (p !== null && p < 0.05) alarms++
    if ((asIndependent(first.sums, second.sums) ?? 1) < 0.05) independent++
    if (evidentlyDrifted(first.values, second.values)) evidently++
  }
  return {
    baseline,
    window,
    rowsPerEntity,
    repeats,
    ratio: tests <= repeats / 2 ? null : alarms / tests / 0.05,
    ratioIndependent: independent / repeats / 0.05,
    evidently: evidently / repeats,
  }
}

/** The p-value where every row counts as an entity of its own. */
function asIndependent(first: Sample['sums'], second: Sample['sums']): number | null {
  const singles = ({ bins, counts }: Sample['sums']) => {
    const sums = createEntitySums(bins)
    counts.forEach((count, bin) => {
      sums.entities += count
      sums.squares += count
      sums.counts[bin] = count
      sums.weighted[bin] = count
      sums.products[bin * bins + bin] = count
    })
    return clusteredShares(sums)
  }
  return driftTest(singles(first), singles(second)).p
}

function evidentlyDrifted(baseline: Float64Array, window: Float64Array): boolean {
  if (baseline.length <= 1000) {
    const size = (baseline.length * window.length) / (baseline.length + window.length)
    return kolmogorovSurvival(Math.sqrt(size) * greatestGap(baseline, window)) < 0.05
  }
  const ones = (values: Float64Array) => ({ values: [...values], weights: new Array<number>(values.length).fill(1) })
  return wasserstein(ones(baseline), ones(window)) / deviation(baseline) >= 0.1
}

/** The greatest difference of two empirical distributions; both ascending. */
function greatestGap(a: Float64Array, b: Float64Array): number {
  let [i, j, greatest] = [0, 0, 0]
  while (i < a.length && j < b.length) {
    if ((a[i] as number) <= (b[j] as number)) i++
    else j++
    greatest = Math.max(greatest, Math.abs(i / a.length - j / b.length))
  }
  return greatest
}

function deviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

/**
 * P(K > x) of Kolmogorov's limiting distribution, by whichever of its two series converges at once. Source: Marsaglia,
 * Tsang and Wang, J. Stat. Softw. 8(18), 2003.
 */
function kolmogorovSurvival(x: number): number {
  if (x <= 0) return 1
  if (x < 1) {
    let sum = 0
    for (let k = 1; k < 40; k += 2) sum += Math.exp((-k * k * Math.PI * Math.PI) / (8 * x * x))
    return 1 - (Math.sqrt(2 * Math.PI) / x) * sum
  }
  let sum = 0
  for (let k = 1; k < 20; k++) sum += (k % 2 === 1 ? 1 : -1) * Math.exp(-2 * k * k * x * x)
  return 2 * sum
}
