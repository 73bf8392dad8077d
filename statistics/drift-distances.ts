/** How far two distributions over the same bins are apart. `p` is the baseline, `q` the window; both are counts. */
export interface DriftDistances {
  /** Population stability index, Σ (p - q) ln(p / q). Infinite where only one side has rows in a bin. */
  readonly psi: number
  /** The root of the Jensen-Shannon divergence with natural logarithms: 0 to √ln 2 = 0.8326. */
  readonly jensenShannon: number
  /** Hellinger distance: 0 to 1. */
  readonly hellinger: number
  /** Half of Σ |p - q|: the share of rows that would have to change bins. */
  readonly totalVariation: number
  /** The greatest difference of the cumulative shares, for ordered bins: a lower bound of Kolmogorov and Smirnov's. */
  readonly kolmogorovSmirnov: number
}

/** All distances of one pair of counts. Both need at least one row. */
export function driftDistances(baseline: readonly number[], window: readonly number[]): DriftDistances {
  const p = shares(baseline)
  const q = shares(window)
  let [psi, divergence, affinity, variation, greatest, cumulative] = [0, 0, 0, 0, 0, 0]
  for (const [i, a] of p.entries()) {
    const b = q[i] ?? 0
    const middle = (a + b) / 2
    if (a !== b) psi += (a - b) * Math.log(a / b)
    if (a > 0) divergence += (a / 2) * Math.log(a / middle)
    if (b > 0) divergence += (b / 2) * Math.log(b / middle)
    affinity += Math.sqrt(a * b)
    variation += Math.abs(a - b)
    cumulative += a - b
    greatest = Math.max(greatest, Math.abs(cumulative))
  }
  return {
    psi,
    jensenShannon: Math.sqrt(Math.max(0, divergence)),
    hellinger: Math.sqrt(Math.max(0, 1 - affinity)),
    totalVariation: variation / 2,
    kolmogorovSmirnov: greatest,
  }
}

/**
 * Wasserstein's distance (p = 1) between two weighted samples, in the unit of the values: the area between their
 * cumulative distributions. Both are ascending by value.
 */
export function wasserstein(baseline: WeightedSample, window: WeightedSample): number {
  const [totalP, totalQ] = [sum(baseline.weights), sum(window.weights)]
  let [i, j, p, q, area] = [0, 0, 0, 0, 0]
  let at = Math.min(baseline.values[0] ?? 0, window.values[0] ?? 0)
  while (i < baseline.values.length || j < window.values.length) {
    const next = Math.min(baseline.values[i] ?? Number.POSITIVE_INFINITY, window.values[j] ?? Number.POSITIVE_INFINITY)
    area += Math.abs(p / totalP - q / totalQ) * (next - at)
    at = next
    while (baseline.values[i] === next) p += baseline.weights[i++] as number
    while (window.values[j] === next) q += window.weights[j++] as number
  }
  return area
}

export interface WeightedSample {
  /** Ascending. */
  readonly values: readonly number[]
  readonly weights: readonly number[]
}

function shares(counts: readonly number[]): number[] {
  const total = sum(counts)
  return counts.map((count) => count / total)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
