import { meanInterval } from '../../statistics/interval.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binCount, binLabels, binOf, categoryBins, categoryText, numberBins } from '../../statistics/column-bins.ts'

/** How well one feature predicts where two versions differ. */
export interface ExplainingFeature {
  readonly feature: string
  /** The part of the variance of the difference that lies between bins of the feature, 0 to 1. */
  readonly explained: number
  /** Pairs whose difference is known. */
  readonly n: number
  /** Where the versions differ most, of bins with at least `minBinRows` pairs; null: there is none. */
  readonly most: {
    readonly bin: string
    readonly n: number
    /** The mean difference there. */
    readonly mean: number
    /** The 95 % interval of the mean, for independent rows. It allows for the choice among the bins (Bonferroni). */
    readonly low: number
    readonly high: number
  } | null
}

const minBinRows = 10

/**
 * Ranks features by how much of the variance of the absolute difference lies between their bins: Kelley's ε²,
 * 1 - (SSW / (n - k)) / (SST / (n - 1)), which is about 0 for a feature that has nothing to do with it. Source: Kelley,
 * PNAS 21 (1935). Bins of a number are of equal mass. Features that go together share what they explain.
 *
 * @param differences absolute, by pair
 * @param values by feature, and there by pair, as JSON has them
 */
export function explainDifference(differences: readonly number[], values: ReadonlyMap<string, readonly unknown[]>): ExplainingFeature[] {
  return Array.from(values, ([feature, column]) => explainBy(feature, differences, column))
    .filter(({ explained }) => explained > 0)
    .toSorted((a, b) => b.explained - a.explained)
}

interface BinSums {
  n: number
  sum: number
  squares: number
}

function explainBy(feature: string, differences: readonly number[], column: readonly unknown[]): ExplainingFeature {
  const bins = binsOf(column)
  const sums = Array.from({ length: binCount(bins) }, (): BinSums => ({ n: 0, sum: 0, squares: 0 }))
  const mean = differences.reduce((total, each) => total + each, 0) / differences.length
  differences.forEach((difference, i) => {
    const own = sums[binOf(bins, simple(column[i]))] as BinSums
    own.n++
    // around the mean of all, so that squares lose no digits
    own.sum += difference - mean
    own.squares += (difference - mean) ** 2
  })
  const used = sums.filter(({ n }) => n > 0)
  const n = differences.length
  const total = used.reduce((sum, { squares }) => sum + squares, 0)
  const within = used.reduce((sum, bin) => sum + bin.squares - bin.sum ** 2 / bin.n, 0)
  const freedom = n - used.length
  const explained = freedom > 0 && total > 0 ? Math.max(0, 1 - within / freedom / (total / (n - 1))) : 0
  return { feature, explained, n, most: mostIn(sums, mean, binLabels(bins)) }
}

function mostIn(sums: readonly BinSums[], mean: number, labels: readonly string[]): ExplainingFeature['most'] {
  let most: ExplainingFeature['most'] = null
  const alpha = 0.05 / Math.max(1, sums.filter(({ n }) => n >= minBinRows).length)
  sums.forEach(({ n, sum, squares }, bin) => {
    if (n < minBinRows || (most !== null && mean + sum / n <= most.mean)) return
    const variance = Math.max(0, squares - sum ** 2 / n) / (n - 1)
    const { value, low, high } = meanInterval({ n, mean: mean + sum / n, variance }, alpha)
    most = { bin: labels[bin] ?? '', n, mean: value, low: Math.max(0, low), high }
  })
  return most
}

function binsOf(column: readonly unknown[]): ColumnBins {
  const numbers = column.filter((value) => typeof value === 'number' && Number.isFinite(value)) as number[]
  if (numbers.length > 0) return numberBins(Float64Array.from(numbers).sort())
  const counts = new Map<string, number>()
  for (const value of column) {
    const known = simple(value)
    if (known === null || typeof known === 'object') continue
    const text = categoryText(known)
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return categoryBins(counts)
}

function simple(value: unknown): string | number | boolean | object | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'object' ? value : null
}
