import type { EntitySums } from '../../statistics/clustered-shares.ts'
import { clusteredShares } from '../../statistics/clustered-shares.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binLabels, firstNumberBin, nullBin } from '../../statistics/column-bins.ts'
import { driftDistances, wasserstein } from '../../statistics/drift-distances.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { mergeRareBins } from '../../statistics/merge-rare-bins.ts'

/** The values of one column on one side of a comparison. */
export interface ColumnSide {
  /** All rows, by status; empty for an output. */
  readonly statuses: Readonly<Record<string, number>>
  /** Rows by bin. */
  readonly counts: readonly number[]
  /** The same of the sampled entities. */
  readonly sums: EntitySums
  /** Figures of finite values; null: there are none. */
  readonly numbers: { readonly mean: number; readonly deviation: number | null; readonly min: number; readonly max: number } | null
}

export interface BinShares {
  readonly label: string
  readonly baseline: number
  readonly window: number
}

/** How a column differs from its baseline. Shares are of rows. */
export interface ColumnComparison {
  readonly rows: { readonly baseline: number; readonly window: number }
  readonly missing: {
    /** null: no rows. */
    readonly baseline: number | null
    readonly window: number | null
    /** By status; absent statuses have no rows on either side. */
    readonly reasons: readonly { readonly status: string; readonly baseline: number; readonly window: number }[]
  }
  /** Rows below the least and above the greatest value of the baseline; null for categories. */
  readonly outOfRange: { readonly below: number; readonly above: number } | null
  /** Rows with a category that is not one of the baseline's bins; null for numbers. */
  readonly otherCategories: { readonly baseline: number; readonly window: number } | null
  readonly distances: {
    readonly psi: number
    readonly jensenShannon: number
    readonly hellinger: number
    readonly totalVariation: number
    /** On bins: a lower bound; null for categories. */
    readonly kolmogorovSmirnov: number | null
    /** On bins, over the standard deviation of the baseline; null for categories, or where it is 0. */
    readonly wasserstein: number | null
  } | null
  readonly test: {
    readonly chiSquared: number | null
    readonly degrees: number | null
    readonly p: number | null
    /** Why there is no p-value; null where there is one. */
    readonly reason: string | null
    /** The mean PSI of two samples of these sizes without drift. */
    readonly psiByChance: number
    readonly entities: { readonly baseline: number; readonly window: number }
  } | null
  readonly bins: readonly BinShares[]
}

export function compareColumn(bins: ColumnBins, baseline: ColumnSide, window: ColumnSide): ColumnComparison {
  const [p, q] = [sharesOf(baseline.counts), sharesOf(window.counts)]
  const rows = { baseline: total(baseline.counts), window: total(window.counts) }
  const share = (side: readonly number[], bin: number) => side[bin] ?? 0
  const last = p.length - 1
  const isNumber = bins.kind === 'number'
  return {
    rows,
    missing: {
      baseline: rows.baseline === 0 ? null : share(p, nullBin),
      window: rows.window === 0 ? null : share(q, nullBin),
      reasons: reasonsOf(baseline.statuses, window.statuses),
    },
    outOfRange: isNumber && bins.edges.length > 0 ? { below: share(q, firstNumberBin), above: share(q, last) } : null,
    otherCategories: !isNumber && bins.values.length > 0 ? { baseline: share(p, last), window: share(q, last) } : null,
    distances: rows.baseline === 0 || rows.window === 0 ? null : distancesOf(bins, baseline, window),
    test: testOf(baseline.sums, window.sums),
    bins: binLabels(bins).map((label, bin) => ({ label, baseline: share(p, bin), window: share(q, bin) })),
  }
}

function testOf(baseline: EntitySums, window: EntitySums): ColumnComparison['test'] {
  if (baseline.entities < 2 || window.entities < 2) return null
  const [first, second] = mergeRareBins(baseline, window).map(clusteredShares)
  if (first === undefined || second === undefined) return null
  const { statistic, degrees, p, reason, expectedPsi } = driftTest(first, second)
  return {
    chiSquared: Number.isFinite(statistic) ? statistic : null,
    degrees: Number.isNaN(degrees) ? null : degrees,
    p,
    reason: reason ?? null,
    psiByChance: expectedPsi,
    entities: { baseline: first.effectiveEntities, window: second.effectiveEntities },
  }
}

/** Half a row is added to each bin that has rows on one side, so that no distance is infinite. */
function distancesOf(bins: ColumnBins, baseline: ColumnSide, window: ColumnSide): ColumnComparison['distances'] {
  const used = baseline.counts.flatMap((count, bin) => (count + (window.counts[bin] ?? 0) > 0 ? [bin] : []))
  const smoothed = (counts: readonly number[]) => used.map((bin) => (counts[bin] ?? 0) + 0.5)
  const exact = (counts: readonly number[]) => used.map((bin) => counts[bin] ?? 0)
  const { jensenShannon, hellinger, totalVariation, kolmogorovSmirnov } = driftDistances(exact(baseline.counts), exact(window.counts))
  return {
    psi: driftDistances(smoothed(baseline.counts), smoothed(window.counts)).psi,
    jensenShannon,
    hellinger,
    totalVariation,
    kolmogorovSmirnov: bins.kind === 'number' ? kolmogorovSmirnov : null,
    wasserstein: bins.kind === 'number' ? overDeviation(bins.edges, baseline, window) : null,
  }
}

/**
 * Each value stands at the middle of its bin; those outside of the baseline's range at the window's least or greatest.
 */
function overDeviation(edges: readonly number[], baseline: ColumnSide, window: ColumnSide): number | null {
  const deviation = baseline.numbers?.deviation ?? 0
  if (deviation === 0 || edges.length === 0 || window.numbers === null) return null
  const [least, greatest] = [edges[0] as number, edges.at(-1) as number]
  const middles = edges.slice(1).map((edge, i) => ((edges[i] as number) + edge) / 2)
  const at = [Math.min(window.numbers.min, least), ...middles, Math.max(window.numbers.max, greatest)]
  const sample = ({ counts }: ColumnSide) => {
    const finite = at.map((value, i) => ({ value, weight: counts[firstNumberBin + i] ?? 0 })).filter(({ weight }) => weight > 0)
    return { values: finite.map(({ value }) => value), weights: finite.map(({ weight }) => weight) }
  }
  const [first, second] = [sample(baseline), sample(window)]
  return first.values.length === 0 || second.values.length === 0 ? null : wasserstein(first, second) / deviation
}

function reasonsOf(baseline: ColumnSide['statuses'], window: ColumnSide['statuses']): ColumnComparison['missing']['reasons'] {
  const [n, m] = [total(Object.values(baseline)), total(Object.values(window))]
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(window)])].filter((status) => status !== 'PRESENT')
  return names
    .map((status) => ({
      status,
      baseline: n === 0 ? 0 : (baseline[status] ?? 0) / n,
      window: m === 0 ? 0 : (window[status] ?? 0) / m,
    }))
    .filter((reason) => reason.baseline + reason.window > 0)
}

function sharesOf(counts: readonly number[]): number[] {
  const all = total(counts)
  return counts.map((count) => (all === 0 ? 0 : count / all))
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
