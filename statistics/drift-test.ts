import type { ClusteredShares } from './clustered-shares.ts'
import { fSurvival } from './distributions.ts'

/** Below so many distinct entities on a side, the covariance is not known well enough for a p-value. */
export const minEntities = 30

export interface DriftTest {
  /**
   * Rao and Scott's statistic over its first-order scale: about chi-squared with `degrees` of freedom. Infinity if
   * shares that do not vary between entities have changed.
   */
  readonly statistic: number
  readonly degrees: number
  /** The chance of a difference at least as great without drift; null where too few entities are known (`reason`). */
  readonly p: number | null
  readonly reason?: string
  /** The PSI that chance alone gives on average at these sizes and this dependence. */
  readonly expectedPsi: number
  /** Rows that one independent row stands for, over both sides: 1 where rows are independent. */
  readonly designEffect: number
}

/**
 * Tests whether baseline and window have the same shares, where rows of one entity depend on each other. The statistic
 * is Pearson's, Σ (p - q)² / π with the pooled share π. Its distribution without drift is that of Σ λ χ²(1), where λ
 * are the eigenvalues of D⁻¹V (D the diagonal of π, V the covariance of p - q), and is matched by its first two moments
 * (Satterthwaite), which needs traces only. Source: Rao and Scott, Annals of Statistics 12 (1984), second-order
 * correction.
 *
 * The trace of the square is estimated without bias: noise in V makes eigenvalues look more unequal than they are.
 * Source: Bai and Saranadasa, Statistica Sinica 6 (1996), equation 3.9.
 *
 * The covariance itself is estimated from few entities, so p is taken from an F distribution with as many degrees of
 * freedom for each degree of the statistic as entities are known beyond one. Source: Thomas and Rao, JASA 82 (1987).
 */
export function driftTest(baseline: ClusteredShares, window: ClusteredShares): DriftTest {
  const bins = baseline.shares.length
  const weight = baseline.rows / (baseline.rows + window.rows)
  const pooled = baseline.shares.map((share, b) => weight * share + (1 - weight) * (window.shares[b] as number))
  const used = pooled.flatMap((share, b) => (share > 0 ? [b] : []))
  let statistic = 0
  const traces: [number, number] = [0, 0]
  const squares: [number, number] = [0, 0]
  let cross = 0
  for (const a of used) {
    const share = pooled[a] as number
    statistic += ((baseline.shares[a] as number) - (window.shares[a] as number)) ** 2 / share
    for (const b of used) {
      const [p, q] = [baseline.covariance[a * bins + b] as number, window.covariance[a * bins + b] as number]
      const both = share * (pooled[b] as number)
      if (a === b) {
        traces[0] += p / share
        traces[1] += q / share
      }
      squares[0] += (p * p) / both
      squares[1] += (q * q) / both
      cross += (p * q) / both
    }
  }
  const sides = [baseline, window] as const
  const trace = traces[0] + traces[1]
  const independent = (used.length - 1) * (1 / baseline.rows + 1 / window.rows)
  const common = { expectedPsi: trace, designEffect: independent === 0 ? 1 : trace / independent }
  const few = sides.findIndex(({ effectiveEntities }) => effectiveEntities < minEntities)
  if (few >= 0) {
    const known = Math.floor((sides[few] as ClusteredShares).effectiveEntities)
    const reason = `${few === 0 ? 'The baseline' : 'The window'} has the weight of ${known} entities; a test needs ${minEntities}`
    return { statistic: Number.NaN, degrees: Number.NaN, p: null, reason, ...common }
  }
  const unchanged = { statistic: 0, degrees: 0, p: 1, ...common }
  if (used.length < 2) return unchanged
  // all entities of a side have the same shares, so these are known exactly
  if (trace === 0) return statistic === 0 ? unchanged : { statistic: Number.POSITIVE_INFINITY, degrees: 0, p: 0, ...common }
  const unbiased = sides.map(({ effectiveEntities }, side) => {
    const known = effectiveEntities - 1
    return ((squares[side] as number) - (traces[side] as number) ** 2 / known) * (known ** 2 / ((known + 2) * (known - 1)))
  })
  const least = trace ** 2 / (used.length - 1)
  const traceOfSquare = Math.max(least, (unbiased[0] as number) + (unbiased[1] as number) + 2 * cross)
  const scale = traceOfSquare / trace
  const degrees = trace ** 2 / traceOfSquare
  const known =
    trace ** 2 / sides.reduce((sum, { effectiveEntities }, side) => sum + (traces[side] as number) ** 2 / (effectiveEntities - 1), 0)
  return { statistic: statistic / scale, degrees, p: fSurvival(statistic / scale / degrees, degrees, degrees * known), ...common }
}
