import type { ByteReader, ByteWriter } from '../values/binary.ts'

/** Sums beyond this magnitude use a fixed-point integer, so that no intermediate result overflows. */
const largest = 2 ** 1000
/** The fixed-point integer counts units of 2^-1074, the smallest double. */
const fixedPointBits = 1074n

/**
 * The exact sum of any doubles, independent of their order. Adding is error-free; only `value` and `mean` round, once.
 * The sum is kept as doubles whose bits do not overlap (Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997,
 * GROW-EXPANSION), usually only one. NaN and infinities are counted separately, so that they can be removed again.
 */
export class ExactSum {
  #top = 0
  /** The smaller parts, ascending by magnitude; null while `#top` is the complete sum. */
  #rest: number[] | null = null
  /** If not null, the complete finite sum in units of 2^-1074. */
  #fixed: bigint | null = null
  #nan = 0
  #plus = 0
  #minus = 0

  add(x: number): void {
    if (this.#rest === null && this.#fixed === null) {
      const top = this.#top
      const sum = top + x
      const part = sum - top
      // The fast path for exact additions, such as sums of integers. NaN and overflow fail the comparison.
      if (top - (sum - part) + (x - part) === 0 && sum < largest && sum > -largest) {
        this.#top = sum + 0
        return
      }
    }
    if (Number.isFinite(x)) this.#addFinite(x)
    else this.#count(x, 1)
  }

  subtract(x: number): void {
    if (Number.isFinite(x)) this.add(-x)
    else this.#count(x, -1)
  }

  merge(other: ExactSum): void {
    this.#combine(other, 1)
  }

  /** Removes a sum that was merged before. */
  unmerge(other: ExactSum): void {
    this.#combine(other, -1)
  }

  /** The sum, rounded once to the nearest double (ties to even). */
  value(): number {
    const special = this.#special()
    if (special !== null) return special
    if (this.#fixed !== null) return ratioToNumber(this.#fixed, 1n << fixedPointBits)
    return this.#rest === null ? this.#top : roundParts(this.#rest, this.#top)
  }

  /** The sum divided by `count`, rounded once. */
  mean(count: number): number {
    const special = this.#special()
    if (special !== null) return special
    if (this.#rest === null && this.#fixed === null) return this.#top / count + 0 // never -0
    return ratioToNumber(this.#toFixed(), BigInt(count) << fixedPointBits)
  }

  /** The sum if it is a safe integer in a single double, else null. Callers use it for fast integer arithmetic. */
  safeInteger(): number | null {
    return this.#rest === null && this.#fixed === null && this.#special() === null && Number.isSafeInteger(this.#top) ? this.#top : null
  }

  /** The sum in units of 2^-1074; null if it contains NaN or an infinity. */
  units(): bigint | null {
    return this.#special() === null ? this.#toFixed() : null
  }

  /**
   * Canonical encoding: a double if the sum is one, else the fixed-point integer; then the counters, if any is not 0.
   */
  encode(writer: ByteWriter): void {
    const counted = this.#nan !== 0 || this.#plus !== 0 || this.#minus !== 0 ? 2 : 0
    let double = this.#top
    let fixed: bigint | null = null
    if (this.#rest !== null || this.#fixed !== null) {
      fixed = this.#toFixed()
      double = ratioToNumber(fixed, 1n << fixedPointBits)
      if (Number.isFinite(double) && toFixed(double) === fixed) fixed = null
    }
    writer.byte(counted | (fixed === null ? 0 : 1))
    if (fixed === null) writer.float64(double)
    else writeBigint(writer, fixed)
    if (counted !== 0) {
      writer.uint(this.#nan)
      writer.uint(this.#plus)
      writer.uint(this.#minus)
    }
  }

  static decode(reader: ByteReader): ExactSum {
    const sum = new ExactSum()
    const flags = reader.byte()
    if ((flags & 1) === 0) sum.add(reader.float64())
    else sum.#fixed = readBigint(reader)
    if ((flags & 2) !== 0) {
      sum.#nan = reader.uint()
      sum.#plus = reader.uint()
      sum.#minus = reader.uint()
    }
    return sum
  }

  /** Moves a reader past an encoded sum. */
  static skip(reader: ByteReader): void {
    const flags = reader.byte()
    if ((flags & 1) === 0) reader.skip(8)
    else skipBigint(reader)
    for (let left = (flags & 2) === 0 ? 0 : 3; left > 0; left--) reader.uint()
  }

  #combine(other: ExactSum, sign: 1 | -1): void {
    if (other.#fixed !== null) {
      this.#fixed = this.#toFixed() + (sign === 1 ? other.#fixed : -other.#fixed)
      this.#rest = null
    } else {
      this.add(sign * other.#top)
      if (other.#rest !== null) for (const part of other.#rest) this.add(sign * part)
    }
    this.#nan += sign * other.#nan
    this.#plus += sign * other.#plus
    this.#minus += sign * other.#minus
  }

  #addFinite(x: number): void {
    if (this.#fixed === null && Math.abs(x) < largest && Math.abs(this.#top) < largest) {
      const parts: number[] = []
      let carry = x
      for (const part of this.#rest ?? []) {
        const sum = carry + part
        const low = twoSumError(carry, part, sum)
        if (low !== 0) parts.push(low)
        carry = sum
      }
      const sum = carry + this.#top
      const low = twoSumError(carry, this.#top, sum)
      if (low !== 0) parts.push(low)
      this.#top = sum + 0
      this.#rest = parts.length === 0 ? null : parts
      if (this.#top === 0 && this.#rest !== null) this.#top = this.#rest.pop() ?? 0
      if (this.#rest?.length === 0) this.#rest = null
      return
    }
    this.#fixed = this.#toFixed() + toFixed(x)
    this.#rest = null
  }

  #toFixed(): bigint {
    if (this.#fixed !== null) return this.#fixed
    let fixed = toFixed(this.#top)
    for (const part of this.#rest ?? []) fixed += toFixed(part)
    return fixed
  }

  #count(x: number, by: number): void {
    if (x !== x) this.#nan += by
    else if (x > 0) this.#plus += by
    else this.#minus += by
  }

  #special(): number | null {
    if (this.#nan > 0 || (this.#plus > 0 && this.#minus > 0)) return Number.NaN
    if (this.#plus > 0) return Number.POSITIVE_INFINITY
    if (this.#minus > 0) return Number.NEGATIVE_INFINITY
    return null
  }
}

/** The rounding error of `sum = a + b` (Knuth's two-sum). */
function twoSumError(a: number, b: number, sum: number): number {
  const part = sum - a
  return a - (sum - part) + (b - part)
}

/**
 * The nearest double to the sum of non-overlapping parts (ascending `rest`, then `top`), as CPython's `math.fsum` ends.
 */
function roundParts(rest: readonly number[], top: number): number {
  let high = top
  let low = 0
  let i = rest.length
  while (i > 0 && low === 0) {
    const part = rest[--i] as number
    const sum = high + part
    low = part - (sum - high)
    high = sum
  }
  // In half-way cases the lower parts decide the direction of rounding.
  const below = i > 0 ? (rest[i - 1] as number) : 0
  if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
    const twice = low * 2
    const sum = high + twice
    if (twice === sum - high) high = sum
  }
  return high + 0
}

const bits = new DataView(new ArrayBuffer(8))

/** A finite double in units of 2^-1074. */
export function toFixed(x: number): bigint {
  if (x === 0) return 0n
  bits.setFloat64(0, x)
  const high = bits.getUint32(0)
  const exponent = (high >>> 20) & 0x7ff
  const fraction = (BigInt(high & 0xfffff) << 32n) | BigInt(bits.getUint32(4))
  const magnitude = exponent === 0 ? fraction : (fraction | (1n << 52n)) << BigInt(exponent - 1)
  return high >>> 31 === 1 ? -magnitude : magnitude
}

/** The double nearest to `numerator / denominator` (ties to even); the denominator is positive. */
export function ratioToNumber(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0
  const negative = numerator < 0n
  const n = negative ? -numerator : numerator
  // The quotient has between `size` and `size + 1` integer bits. The exponent is chosen so that 53 bits remain, or
  // fewer for subnormals.
  const size = bitLength(n) - bitLength(denominator)
  let exponent = Math.max(size - 53, -1074)
  let [quotient, remainder, divisor] = divide(n, denominator, exponent)
  if (quotient >= 1n << 53n) {
    exponent += 1
    ;[quotient, remainder, divisor] = divide(n, denominator, exponent)
  }
  const twice = remainder * 2n
  if (twice > divisor || (twice === divisor && (quotient & 1n) === 1n)) quotient += 1n
  const value = Number(quotient) * 2 ** exponent
  return (negative ? -value : value) + 0
}

/** The double nearest to the square root of `numerator / denominator` (ties to even); neither is negative. */
export function rootToNumber(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0
  // A quotient of about 114 bits has a root of about 57 bits, four more than a double has. The shift must be even,
  // because the root halves it.
  let shift = bitLength(denominator) - bitLength(numerator) + 114
  if (shift % 2 !== 0) shift += 1
  const scaled = shift > 0 ? numerator << BigInt(shift) : numerator
  const divisor = shift < 0 ? denominator << BigInt(-shift) : denominator
  const quotient = scaled / divisor
  const root = floorRoot(quotient)
  // The cut-off part only decides ties, so one sticky bit is enough.
  const sticky = root * root === quotient && quotient * divisor === scaled ? 0n : 1n
  const half = BigInt(shift / 2 + 1)
  return half >= 0n ? ratioToNumber(root * 2n + sticky, 1n << half) : ratioToNumber((root * 2n + sticky) << -half, 1n)
}

/**
 * The integer part of the square root of a number of at most 120 bits: the double's root is close; one Newton step and
 * a correction downwards make it exact.
 */
function floorRoot(x: bigint): bigint {
  const near = BigInt(Math.floor(Math.sqrt(Number(x))))
  let root = (near + x / near) >> 1n
  while (root * root > x) root -= 1n
  return root
}

function divide(n: bigint, d: bigint, exponent: number): [quotient: bigint, remainder: bigint, divisor: bigint] {
  const scaled = exponent < 0 ? n << BigInt(-exponent) : n
  const divisor = exponent > 0 ? d << BigInt(exponent) : d
  return [scaled / divisor, scaled % divisor, divisor]
}

function bitLength(x: bigint): number {
  const hex = x.toString(16)
  return (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex[0] as string, 16)))
}

/** Writes a bigint of any size: the sign, then the bytes of the magnitude. */
export function writeBigint(writer: ByteWriter, value: bigint): void {
  const magnitude = value < 0n ? -value : value
  const hex = magnitude.toString(16)
  writer.byte(value < 0n ? 1 : 0)
  writer.blob(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'))
}

export function skipBigint(reader: ByteReader): void {
  reader.byte()
  reader.skip(reader.uint())
}

export function readBigint(reader: ByteReader): bigint {
  const negative = reader.byte() === 1
  const bytes = reader.blob()
  // mostly 0
  const magnitude = bytes.length === 1 ? BigInt(bytes[0] as number) : BigInt(`0x${bytes.toString('hex') || '0'}`)
  return negative ? -magnitude : magnitude
}
