/** The indexes of the values, from the least value to the greatest; equal values keep their order. */
export function ascendingOrder(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from(values, (_, index) => index).sort((a, b) => (values[a] as number) - (values[b] as number) || a - b)
}
