import type { EntitySums } from './clustered-shares.ts'
import { createEntitySums } from './clustered-shares.ts'

/** A bin needs so many expected rows on each side for the test's approximation (Cochran, Biometrics 10, 1954). */
export const minExpectedRows = 5

/**
 * Merges the bins in which fewer than five rows are expected on one of the sides, into one; and that one into the most
 * frequent bin if too few are expected in it. Bins without rows on both sides do not matter, and stay.
 */
export function mergeRareBins(baseline: EntitySums, window: EntitySums): readonly [EntitySums, EntitySums] {
  const [n, m] = [sum(baseline.counts), sum(window.counts)]
  const pooled = Array.from(baseline.counts, (count, bin) => (count + (window.counts[bin] as number)) / (n + m))
  const smaller = Math.min(n, m)
  const rare = pooled.flatMap((share, bin) => (share > 0 && share * smaller < minExpectedRows ? [bin] : []))
  if (rare.length === 0) return [baseline, window]
  const most = pooled.indexOf(Math.max(...pooled))
  const together = rare.reduce((share, bin) => share + (pooled[bin] as number), 0)
  const into = together * smaller < minExpectedRows ? most : (rare[0] as number)
  const places = pooled.map((_, bin) => (rare.includes(bin) ? into : bin))
  return [moveBins(baseline, places), moveBins(window, places)]
}

/** Counts each bin as another one. Sums over entities stay exact. */
function moveBins({ bins, entities, squares, counts, weighted, products }: EntitySums, places: readonly number[]): EntitySums {
  const moved = createEntitySums(bins)
  moved.entities = entities
  moved.squares = squares
  for (let a = 0; a < bins; a++) {
    const place = places[a] as number
    moved.counts[place] = (moved.counts[place] as number) + (counts[a] as number)
    moved.weighted[place] = (moved.weighted[place] as number) + (weighted[a] as number)
    for (let b = 0; b < bins; b++) {
      const pair = place * bins + (places[b] as number)
      moved.products[pair] = (moved.products[pair] as number) + (products[a * bins + b] as number)
    }
  }
  return moved
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}
