/**
 * A double and its bits, over the same memory: write `value[0]`, then read `word[high]` (sign, exponent and the first
 * 20 bits of the fraction) and `word[low]`.
 */
export interface FloatBits {
  readonly value: Float64Array
  readonly word: Uint32Array
  readonly high: 0 | 1
  readonly low: 0 | 1
}

export function createFloatBits(): FloatBits {
  const value = new Float64Array(1)
  const word = new Uint32Array(value.buffer)
  value[0] = 1
  return word[0] === 0 ? { value, word, high: 1, low: 0 } : { value, word, high: 0, low: 1 }
}
