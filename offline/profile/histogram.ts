import type { Bucket } from './bit-buckets.ts'

/**
 * A histogram for comparison with later data: the number of values in [edges[i], edges[i + 1]). The last bin includes
 * its upper edge. The counts are exact.
 */
export interface Histogram {
  /** Ascending; one more than the counts, or none. */
  readonly edges: readonly number[]
  readonly counts: readonly number[]
}

const bins = 32

/**
 * Makes some 32 bins of about equal counts, as the population stability index needs. They are fine enough for the
 * greatest distance of distributions (Kolmogorov and Smirnov). Edges are edges of buckets, so that other data can be
 * counted into the same bins exactly. A bucket with many rows, such as that of a frequent value, is a separate bin, so
 * there are 65 bins at most.
 */
export function histogramOf(buckets: readonly Bucket[]): Histogram {
  const [first] = buckets
  if (first === undefined) return { edges: [], counts: [] }
  const target = buckets.reduce((sum, { count }) => sum + count, 0) / bins
  const edges = [first.from]
  const counts: number[] = []
  let open = 0
  let end = first.from
  const close = (): void => {
    counts.push(open)
    edges.push(end)
    open = 0
  }
  for (const { from, to, count } of buckets) {
    if (open > 0 && count >= target) {
      end = from
      close()
    }
    open += count
    end = to
    if (open >= target) close()
  }
  if (open > 0) close()
  return { edges, counts }
}
