import type { EntitySums } from './clustered-shares.ts'
import { clusteredShares } from './clustered-shares.ts'
import { normalSurvival } from './distributions.ts'
import { minEntities } from './drift-test.ts'
import { logGamma } from './gamma.ts'

/** A share of rows, and how many independent rows it is worth. */
export interface ObservedShare {
  readonly share: number
  readonly rows: number
  readonly effectiveRows: number
}

/** With fewer independent rows on a side, not even a rise from none to all would say much. */
export const minEffectiveRows = 10
/** With fewer on a side, the normal approximation is too rough. */
const minNormalRows = 20

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
 * One-sided test of two proportions, whether the share of the window is greater: with the pooled variance, or, of few
 * independent rows, Fisher's exact test of whole rows. Rounding is against a rise. Source: Fisher, The Design of
 * Experiments (1935), chapter 2.
 *
 * @returns the p-value; null: a side has too few independent rows
 */
export function shareRise(baseline: ObservedShare, window: ObservedShare): number | null {
  const [n, m] = [baseline.effectiveRows, window.effectiveRows]
  if (n < minEffectiveRows || m < minEffectiveRows) return null
  if (n < minNormalRows || m < minNormalRows) return exactRise(baseline, window)
  const pooled = (baseline.share * n + window.share * m) / (n + m)
  if (pooled === 0 || pooled === 1) return 1
  return normalSurvival((window.share - baseline.share) / Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))
}

function exactRise(baseline: ObservedShare, window: ObservedShare): number {
  const [n, m] = [Math.floor(baseline.effectiveRows), Math.floor(window.effectiveRows)]
  const [before, after] = [Math.ceil(baseline.share * n), Math.floor(window.share * m)]
  const all = before + after
  const logChoose = (of: number, chosen: number): number => logGamma(of + 1) - logGamma(chosen + 1) - logGamma(of - chosen + 1)
  let p = 0
  for (let k = after; k <= Math.min(m, all); k++) p += Math.exp(logChoose(m, k) + logChoose(n, all - k) - logChoose(n + m, all))
  return Math.min(1, p)
}
