import { ascendingOrder } from './ascending-order.ts'
/**
 * Adjusted p-values by Holm's step-down method, in the order given: it bounds the chance of any false rejection.
 * It holds under any dependence, so p-values that are valid at every moment stay so. Source: Holm, Scand. J. Statist. 6
 * (1979).
 */
export function holm(pValues: readonly number[]): number[] {
  let greatest = 0
  return adjust(pValues, ascendingOrder(pValues), (p, rank) => (greatest = Math.max(greatest, Math.min(1, p * (pValues.length - rank)))))
}

/**
 * Adjusted p-values by Benjamini and Hochberg's step-up method, in the order given: it bounds the expected share of
 * false rejections. Source: Benjamini and Hochberg, JRSS B 57 (1995).
 */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  let least = 1
  const descending = ascendingOrder(pValues).toReversed()
  return adjust(pValues, descending, (p, rank) => (least = Math.min(least, (p * pValues.length) / (pValues.length - rank))))
}

/**
 * The least levels at which e-BH rejects, in the order given: it bounds the expected share of false rejections under
 * any dependence, and for e-processes at any moment that is chosen to stop. The e-values are those of that moment: the
 * greatest of all moments is none. Source: Wang and Ramdas, JRSS B 84 (2022).
 */
export function eBenjaminiHochberg(eValues: readonly number[]): number[] {
  return benjaminiHochberg(eValues.map((e) => 1 / e))
}

function adjust(pValues: readonly number[], order: Uint32Array, next: (p: number, rank: number) => number): number[] {
  const adjusted = new Array<number>(pValues.length)
  for (const [rank, index] of order.entries()) adjusted[index] = next(pValues[index] as number, rank)
  return adjusted
}
