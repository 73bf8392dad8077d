import type { EntitySums } from './clustered-shares.ts'
import { createEntitySums } from './clustered-shares.ts'

/** A bin needs so many expected rows on each side for the test's approximation (Cochran, Biometrics 10, 1954). */
const minExpectedRows = 5

/**
 * Merges a bin in which fewer than five rows are expected on one of the sides with the bins after it, until five are;
 * the last ones with those before. The place does not depend on which bin has most rows: choosing that one would raise
 * the rate of false alarms by a fifth.
 */
export function mergeRareBins(baseline: EntitySums, window: EntitySums): readonly [EntitySums, EntitySums] {
  const [n, m] = [sum(baseline.counts), sum(window.counts)]
  const smaller = Math.min(n, m)
  const places: number[] = []
  let [first, rows, before] = [0, 0, -1]
  for (let bin = 0; bin < baseline.bins; bin++) {
    rows += (baseline.counts[bin] as number) + (window.counts[bin] as number)
    places[bin] = first
    // without a quotient, which would be rounded where exactly five are expected
    if (rows * smaller < minExpectedRows * (n + m)) continue
    before = first
    first = bin + 1
    rows = 0
  }
  const into = before < 0 ? 0 : before
  for (let bin = first; bin < baseline.bins; bin++) places[bin] = into
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
