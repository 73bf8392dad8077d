import { ratioToNumber } from '../../kernel/states/exact-sum.ts'

/** The number of sums that a double holds exactly: a sum of products of parts is at most 2^37. */
const addsBetweenCarries = 1 << 15
/** The unit of a sum is 2^-1074, the smallest double; that of a sum of squares is its square. */
const unitBits = 1074n

export interface BitMomentsState {
  readonly count: number
  readonly whole: string
  readonly wholeSquares: string
  readonly sums: readonly (readonly [page: number, sum: string, squares: string])[]
}

/**
 * The exact sums of finite doubles and of their squares, in any order. Mean and standard deviation are rounded once, at
 * the end. A fraction of 53 bits is split into parts of 17, 18 and 18 bits. For each exponent and sign, doubles that
 * hold whole numbers keep the sums of the parts and of their products. They are carried into bigints from time to time.
 */
export class BitMoments {
  /** By the first 12 bits of a double: 3 sums of parts, then 5 of products, each by its power of 2^18, descending. */
  readonly #parts = new Array<Float64Array | null>(4096).fill(null)
  readonly #sums = new Map<number, { sum: bigint; squares: bigint }>()
  #adds = 0
  #count = 0
  #whole = 0n
  #wholeSquares = 0n

  /** Adds a finite nonzero double, given by its bits. */
  add(high: number, low: number): void {
    const page = high >>> 20
    const parts = (this.#parts[page] ??= new Float64Array(8))
    const top = (high & 0xfffff) | ((page & 0x7ff) === 0 ? 0 : 0x100000)
    const a = top >>> 4
    const b = ((top & 15) << 14) | (low >>> 18)
    const c = low & 0x3ffff
    parts[0] = (parts[0] as number) + a
    parts[1] = (parts[1] as number) + b
    parts[2] = (parts[2] as number) + c
    parts[3] = (parts[3] as number) + a * a
    parts[4] = (parts[4] as number) + 2 * a * b
    parts[5] = (parts[5] as number) + 2 * a * c + b * b
    parts[6] = (parts[6] as number) + 2 * b * c
    parts[7] = (parts[7] as number) + c * c
    this.#count++
    if (++this.#adds === addsBetweenCarries) this.#carry()
  }

  addZeros(count: number): void {
    this.#count += count
  }

  /** Adds a whole number of any size. */
  addWhole(value: bigint): void {
    this.#whole += value
    this.#wholeSquares += value * value
    this.#count++
  }

  /** null where there are no values. */
  mean(): number | null {
    return this.#count === 0 ? null : ratioToNumber(this.#totals().sum, BigInt(this.#count) << unitBits)
  }

  /**
   * The standard deviation of a sample: divided by one less than the number of values. null where there are fewer than
   * two, or where it exceeds the greatest double.
   */
  stddev(): number | null {
    if (this.#count < 2) return null
    const { sum, squares } = this.#totals()
    const n = BigInt(this.#count)
    const deviation = squareRoot(n * squares - sum * sum, (n * (n - 1n)) << (2n * unitBits))
    return Number.isFinite(deviation) ? deviation : null
  }

  /** As plain data; bigints as hexadecimal text. */
  state(): BitMomentsState {
    this.#carry()
    return {
      count: this.#count,
      whole: hex(this.#whole),
      wholeSquares: hex(this.#wholeSquares),
      sums: [...this.#sums].map(([page, { sum, squares }]) => [page, hex(sum), hex(squares)]),
    }
  }

  /** Adds the sums of another collector. */
  merge({ count, whole, wholeSquares, sums }: BitMomentsState): void {
    this.#count += count
    this.#whole += fromHex(whole)
    this.#wholeSquares += fromHex(wholeSquares)
    for (const [page, sum, squares] of sums) {
      const total = this.#sums.get(page) ?? { sum: 0n, squares: 0n }
      this.#sums.set(page, { sum: total.sum + fromHex(sum), squares: total.squares + fromHex(squares) })
    }
  }

  #totals(): { readonly sum: bigint; readonly squares: bigint } {
    this.#carry()
    let sum = this.#whole << unitBits
    let squares = this.#wholeSquares << (2n * unitBits)
    for (const [page, part] of this.#sums) {
      const shift = BigInt(Math.max(page & 0x7ff, 1) - 1)
      sum += (page >= 2048 ? -part.sum : part.sum) << shift
      squares += part.squares << (2n * shift)
    }
    return { sum, squares }
  }

  #carry(): void {
    this.#adds = 0
    for (const [page, parts] of this.#parts.entries()) {
      if (parts === null) continue
      const total = this.#sums.get(page) ?? { sum: 0n, squares: 0n }
      total.sum += horner(parts, 0, 3)
      total.squares += horner(parts, 3, 8)
      this.#sums.set(page, total)
      parts.fill(0)
    }
  }
}

function hex(value: bigint): string {
  return value.toString(16)
}

function fromHex(text: string): bigint {
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`)
}

function horner(parts: Float64Array, from: number, to: number): bigint {
  let value = 0n
  for (let i = from; i < to; i++) value = (value << 18n) + BigInt(parts[i] as number)
  return value
}

/** The square root of a ratio that may be outside the range of doubles although its root is inside. */
function squareRoot(numerator: bigint, denominator: bigint): number {
  if (numerator <= 0n) return 0
  const half = Math.floor((numerator.toString(16).length - denominator.toString(16).length) * 2)
  const [n, d] = half < 0 ? [numerator << BigInt(-2 * half), denominator] : [numerator, denominator << BigInt(2 * half)]
  // in two steps: 2 ** half may exceed the greatest double
  const quarter = half >> 1
  return Math.sqrt(ratioToNumber(n, d)) * 2 ** quarter * 2 ** (half - quarter)
}
