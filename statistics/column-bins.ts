/** The bins over which a baseline and later values of one column are counted, so that their counts can be compared. */
export type ColumnBins =
  | {
      readonly kind: 'number'
      /** Ascending. Bin i covers (edges[i - 1], edges[i]]; the first and the last bin are open. */
      readonly edges: readonly number[]
    }
  | {
      readonly kind: 'category'
      /** As `categoryText` writes them. Empty: there are only null and not null. */
      readonly values: readonly string[]
    }

export const defaultNumberBins = 10
const maxCategories = 20
/** Bin 0 of either kind. */
export const nullBin = 0
/** Of numbers, bins 1 to 3 are NaN, -∞ and +∞; then come those of the edges. */
export const firstNumberBin = 4
/** Of categories, bin 0 is null; then come the values, and last the others. */
export const firstCategoryBin = 1

export function binCount(bins: ColumnBins): number {
  return bins.kind === 'number' ? firstNumberBin + bins.edges.length + 1 : firstCategoryBin + bins.values.length + 1
}

/** @param value a feature's or an output's value; a vector, list or map only counts as null or not */
export function binOf(bins: ColumnBins, value: string | number | bigint | boolean | object | null | undefined): number {
  if (value === null || value === undefined) return nullBin
  if (bins.kind === 'category') {
    const found = typeof value === 'object' ? -1 : bins.values.indexOf(categoryText(value))
    return firstCategoryBin + (found < 0 ? bins.values.length : found)
  }
  const number = Number(value)
  if (Number.isNaN(number)) return 1
  if (number === Number.NEGATIVE_INFINITY) return 2
  if (number === Number.POSITIVE_INFINITY) return 3
  return firstNumberBin + countBelow(bins.edges, number)
}

/** A category's text. Long ones are cut, so that a baseline stays small. */
export function categoryText(value: string | number | bigint | boolean): string {
  return String(value).slice(0, maxCategoryLength)
}

const maxCategoryLength = 100

/** A name for people of each bin: `null`, `NaN`, `below 3`, `3 to 7.5`, `above 12`, `ATL`, `other`. */
export function binLabels(bins: ColumnBins): string[] {
  if (bins.kind === 'category') return ['null', ...bins.values, bins.values.length === 0 ? 'not null' : 'other']
  const edges = bins.edges.map(shortNumber)
  const inner = edges.slice(1).map((edge, i) => (edges[i] === edge ? edge : `${edges[i]} to ${edge}`))
  const outer = edges.length === 0 ? ['finite'] : [`below ${edges[0]}`, ...inner, `above ${edges.at(-1)}`]
  return ['null', 'NaN', '-infinity', 'infinity', ...outer]
}

/**
 * Bins of about equal mass, between the least and the greatest value. Values outside of them, below and above, have
 * bins of their own, which are empty for these values. There are fewer bins where values repeat.
 *
 * @param ascending finite values
 */
export function numberBins(ascending: Float64Array, range?: { readonly min: number; readonly max: number }): ColumnBins {
  const count = ascending.length
  const min = range?.min ?? ascending[0]
  const max = range?.max ?? ascending[count - 1]
  if (min === undefined || max === undefined) return { kind: 'number', edges: [] }
  const edges = [nextBelow(min)]
  for (let i = 1; i <= defaultNumberBins; i++) {
    const edge = i === defaultNumberBins ? max : (ascending[Math.ceil((i * count) / defaultNumberBins) - 1] ?? max)
    if (edge > (edges.at(-1) as number)) edges.push(edge)
  }
  return { kind: 'number', edges }
}

/** The most frequent values, at most 20; of equally frequent ones the first by their UTF-16 code units. */
export function categoryBins(counts: ReadonlyMap<string, number>): ColumnBins {
  const ordered = [...counts].toSorted(([a, many], [b, few]) => few - many || (a < b ? -1 : 1))
  return { kind: 'category', values: ordered.slice(0, maxCategories).map(([value]) => value) }
}

/** How many of the edges are less than the value. */
function countBelow(edges: readonly number[], value: number): number {
  let [low, high] = [0, edges.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((edges[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low
}

/** The greatest double below a finite one; the number itself for the least double. */
function nextBelow(value: number): number {
  if (value === 0) return -Number.MIN_VALUE
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? -1n : 1n))
  const below = view.getFloat64(0)
  return Number.isFinite(below) ? below : value
}

/** Six digits are enough to tell bins apart; an edge one double below a value reads as the value. */
function shortNumber(value: number): string {
  return value === -Number.MIN_VALUE ? '0' : String(Number(value.toPrecision(6)))
}
