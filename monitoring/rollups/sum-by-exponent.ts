import { ExactSum } from '../../kernel/states/exact-sum.ts'

const width = 27
const bias = 1074
const digits = Math.ceil((bias + 1024) / width)
/** Beyond these magnitudes a digit's part could overflow or lose bits. */
const [largest, smallest] = [2 ** 900, 2 ** -900]
/** So many additions fit into a digit: each adds less than 2^27 to it, and 2^53 is exact. */
const maxAdditions = 2 ** 25

const units = Float64Array.from({ length: digits }, (_, digit) => 2 ** (digit * width - bias))
const scales = Float64Array.from({ length: digits }, (_, digit) => 2 ** (bias - digit * width))
const radix = 2 ** width
const double = new Float64Array(1)
const halves = new Uint32Array(double.buffer)

/**
 * The exact sum of finite doubles as digits of 27 bits (Neal, "Fast Exact Summation Using Small and Large
 * Superaccumulators", 2015; here a digit is a double). A double spans three digits at most. An addition takes a few
 * nanoseconds whatever the numbers are, where `ExactSum` allocates as soon as the sum is not one double.
 */
export class SumByExponent {
  readonly #digits = new Float64Array(digits)
  #additions = 0
  /** What the digits cannot hold. */
  #sum = new ExactSum()

  /** @param x finite */
  add(x: number): void {
    if (x === 0) return
    const size = Math.abs(x)
    if (size > largest || size < smallest) return this.#sum.add(x)
    if (this.#additions === maxAdditions) this.#settle()
    this.#additions++
    double[0] = x
    const exponent = (((halves[1] as number) >>> 20) & 0x7ff) - 1023
    const digit = Math.floor((exponent + bias) / width)
    const own = this.#digits
    const scaled = x * (scales[digit] as number)
    const first = Math.trunc(scaled)
    own[digit] = (own[digit] as number) + first
    const below = (scaled - first) * radix
    if (below === 0) return
    const second = Math.trunc(below)
    own[digit - 1] = (own[digit - 1] as number) + second
    const third = (below - second) * radix
    if (third !== 0) own[digit - 2] = (own[digit - 2] as number) + third
  }

  /** Returns the sum and resets it. */
  take(): ExactSum {
    this.#settle()
    const sum = this.#sum
    this.#sum = new ExactSum()
    return sum
  }

  #settle(): void {
    if (this.#additions === 0) return
    this.#additions = 0
    for (let digit = 0; digit < digits; digit++) {
      const part = this.#digits[digit] as number
      if (part !== 0) this.#sum.add(part * (units[digit] as number))
    }
    this.#digits.fill(0)
  }
}
