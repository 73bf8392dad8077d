// Half precision of IEEE 754: a sign bit, 5 bits of the exponent and 10 of the fraction. By hand, as `Float16Array` is
// missing in Node 22.

/** Of the numbers with the smallest steps. */
const leastExponent = -14
/** From here on, a number is rounded to infinity. */
const infinite = 65_520
/** The sum of a number up to 2,048 and this is a whole number: the processor rounds it to nearest, ties to even. */
const wholes = 2 ** 52

const double = new DataView(new ArrayBuffer(8))

/** The bits of the nearest float16, ties to even. It is infinite from 65,520 on. */
export function float16Bits(value: number): number {
  double.setFloat64(0, value)
  const high = double.getUint16(0)
  const sign = high & 0x8000
  const size = Math.abs(value)
  if (!(size < infinite)) return Number.isNaN(value) ? 0x7e00 : sign | 0x7c00
  const exponent = Math.max(((high >> 4) & 0x7ff) - 1023, leastExponent)
  // 1,024 to 2,048 steps, or fewer for a subnormal number. The sum carries into the exponent where it is rounded up
  const steps = size * 2 ** (10 - exponent) + wholes - wholes
  return sign | (((exponent - leastExponent) << 10) + steps)
}

/** Exact. */
export function float16Value(bits: number): number {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}
