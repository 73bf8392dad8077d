import type { Bucket } from './bit-buckets.ts'

const asked = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]

/**
 * The quantiles by share q: the value of rank floor(q * (n - 1)), accurate to 1/128 of itself.
 *
 * @param whole whether the values are whole numbers; a bucket with only one whole number gives it exactly
 */
export function quantilesOf(buckets: readonly Bucket[], min: number, max: number, whole: boolean): Readonly<Record<string, number>> {
  const total = buckets.reduce((sum, { count }) => sum + count, 0)
  const quantiles: Record<string, number> = {}
  let at = 0
  let before = 0
  for (const q of total === 0 ? [] : asked) {
    const rank = Math.floor(q * (total - 1))
    while (at < buckets.length - 1 && before + (buckets[at] as Bucket).count <= rank) before += (buckets[at++] as Bucket).count
    quantiles[String(q)] = Math.min(Math.max(middle(buckets[at] as Bucket, whole), min), max)
  }
  return quantiles
}

function middle({ from, to }: Bucket, whole: boolean): number {
  if (to === Number.MIN_VALUE) return 0
  const half = from + (to - from) / 2
  if (!whole) return half
  const first = Math.ceil(from)
  return first + 1 >= to ? first : Math.round(half)
}
