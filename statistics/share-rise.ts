import type { EntitySums } from './clustered-shares.ts'
import { clusteredShares } from './clustered-shares.ts'
import { normalSurvival } from './distributions.ts'
import { minEntities } from './drift-test.ts'

/** A share of rows, and how many independent rows it is worth. */
export interface ObservedShare {
  readonly share: number
  readonly rows: number
  readonly effectiveRows: number
}

/** With fewer independent rows on a side, the normal approximation says nothing. */
export const minEffectiveRows = 20

/**
 * How many independent rows so many rows are worth, for the share of one bin. The design effect is that of a sample of
 * entities, where it has enough of them and the share is neither 0 nor 1; else it is as great as it can be: all rows of
 * an entity are alike. If not all rows of the entities are in the sample, it is scaled up: 1 + (d - 1) rows / sampled.
 * Source: Kish, Survey Sampling (1965), section 5.4.
 *
 * @param sampled the rows that the sample was drawn from
 */
export function effectiveRows(sums: EntitySums, bin: number, rows: number, sampled: number): number {
  if (sums.entities < 2 || rows === 0 || sampled === 0) return Math.min(rows, sums.entities)
  const { shares, covariance, rows: n, effectiveEntities } = clusteredShares(sums)
  const share = shares[bin] ?? 0
  const variance = covariance[bin * sums.bins + bin] ?? 0
  const isMeasured = effectiveEntities >= minEntities && share > 0 && share < 1 && variance > 0
  const design = isMeasured ? (variance * n) / (share * (1 - share)) : n / effectiveEntities
  return rows / (1 + Math.max(0, design - 1) * Math.max(1, rows / sampled))
}

/**
 * One-sided test of two proportions, whether the share of the window is greater, with the pooled variance.
 *
 * @returns the p-value; null: a side has too few independent rows
 */
export function shareRise(baseline: ObservedShare, window: ObservedShare): number | null {
  const [n, m] = [baseline.effectiveRows, window.effectiveRows]
  if (n < minEffectiveRows || m < minEffectiveRows) return null
  const pooled = (baseline.share * n + window.share * m) / (n + m)
  if (pooled === 0 || pooled === 1) return 1
  return normalSurvival((window.share - baseline.share) / Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))
}
