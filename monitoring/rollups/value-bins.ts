import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binCount, categoryText, firstCategoryBin, firstNumberBin, nullBin } from '../../statistics/column-bins.ts'

/**
 * The bins of one column, for many values: `binOf` of `statistics/column-bins.ts` without its conversions and searches.
 */
export class ValueBins {
  readonly count: number
  readonly #edges: Float64Array | null
  readonly #texts = new Map<string, number>()
  readonly #numbers = new Map<number, number>()
  readonly #other: number

  /** @param isBoolean booleans are given as 0 and 1 */
  constructor(bins: ColumnBins, isBoolean: boolean) {
    this.count = binCount(bins)
    this.#edges = bins.kind === 'number' ? Float64Array.from(bins.edges) : null
    this.#other = this.count - 1
    if (bins.kind === 'number') return
    for (const [i, text] of bins.values.entries()) {
      this.#texts.set(text, firstCategoryBin + i)
      const number = isBoolean ? ['false', 'true'].indexOf(text) : Number(text)
      if (number !== -1 || !isBoolean) this.#numbers.set(number, firstCategoryBin + i)
    }
  }

  /** @param x a number, or a boolean as 0 or 1 */
  ofNumber(x: number): number {
    const edges = this.#edges
    if (edges === null) return this.#numbers.get(x) ?? this.#other
    if (x !== x) return 1
    if (x === Number.NEGATIVE_INFINITY) return 2
    if (x === Number.POSITIVE_INFINITY) return 3
    let low = 0
    let high = edges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((edges[middle] as number) < x) low = middle + 1
      else high = middle
    }
    return firstNumberBin + low
  }

  ofText(text: string): number {
    return this.#texts.get(categoryText(text)) ?? (this.#edges === null ? this.#other : this.ofNumber(Number(text)))
  }

  ofNull(): number {
    return nullBin
  }

  /** The bin of a vector, a list or counts. */
  ofOther(): number {
    return this.#edges === null ? this.#other : this.ofNumber(Number.NaN)
  }
}
