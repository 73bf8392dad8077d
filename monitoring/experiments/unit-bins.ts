import type { BinnedSample } from '../../statistics/quantile-sequence.ts'

/** The values of units in ascending bins, as plain JSON. */
export interface UnitBins extends BinnedSample {
  readonly from: readonly number[]
  readonly to: readonly number[]
  readonly counts: readonly number[]
}

/** The values of a bin differ by this share of themselves at most. */
const width = 0.005

/**
 * Counts values in bins whose width grows with the value. A bin reaches from the least to the greatest value in it, so
 * values that repeat lose nothing.
 */
export function createUnitBinner(): { add(value: number): void; bins(): UnitBins } {
  const found = new Map<number, { from: number; to: number; count: number }>()
  const scale = 1 / Math.log1p(width)
  // magnitudes below 2^-500 are one bin with 0
  const indexOf = (value: number): number =>
    Math.abs(value) < 2 ** -500 ? 0 : Math.sign(value) * (Math.floor(Math.log(Math.abs(value)) * scale) + 1e6)
  return {
    add(value) {
      const index = indexOf(value)
      const bin = found.get(index)
      if (bin === undefined) found.set(index, { from: value, to: value, count: 1 })
      else {
        bin.from = Math.min(bin.from, value)
        bin.to = Math.max(bin.to, value)
        bin.count++
      }
    },
    bins() {
      const bins = [...found.values()].sort((a, b) => a.from - b.from)
      return { from: bins.map(({ from }) => from), to: bins.map(({ to }) => to), counts: bins.map(({ count }) => count) }
    },
  }
}
