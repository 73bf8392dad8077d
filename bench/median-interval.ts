/** An interval for the median with a confidence of about 95 %: order statistics, whose ranks are binomial. */
export function medianInterval(values: readonly number[]): [number, number] {
  const ascending = values.toSorted((a, b) => a - b)
  const n = ascending.length
  const low = Math.max(0, Math.floor(n / 2 - 0.98 * Math.sqrt(n)) - 1)
  return [ascending[low] ?? Number.NaN, ascending[n - 1 - low] ?? Number.NaN]
}
