/** 2^12 registers: a standard error of 1.04 / sqrt(4096), 1.6 %. */
const indexBits = 12
const size = 2 ** indexBits
export { size as registerBytes }
/** The remaining 52 bits of a hash give the rank. One more rank means that none of them is set. */
const rankBits = 64 - indexBits
/** 1 / (2 ln 2) */
const alpha = 0.7213475204444817

/**
 * The registers of a HyperLogLog of 64-bit hashes. Each register holds the greatest rank (position of the first set
 * bit) among its hashes.
 */
export class HyperLogLog {
  readonly registers: Uint8Array

  constructor(registers: Uint8Array = new Uint8Array(size)) {
    this.registers = registers
  }

  /** @param high the upper 32 bits of the hash @param low the lower ones, both unsigned */
  add(high: number, low: number): void {
    const index = high >>> (32 - indexBits)
    const upper = (high << indexBits) >>> 0
    // `upper` holds 20 bits of the hash, then zeros.
    const rank = upper !== 0 ? Math.clz32(upper) + 1 : 32 - indexBits + Math.clz32(low) + 1
    if (rank > (this.registers[index] as number)) this.registers[index] = rank
  }

  merge(other: HyperLogLog): void {
    const { registers } = this
    for (let i = 0; i < size; i++) {
      const rank = other.registers[i] as number
      if (rank > (registers[i] as number)) registers[i] = rank
    }
  }

  /**
   * Estimates the number of distinct hashes with Ertl's improved raw estimator ("New cardinality estimation algorithms
   * for HyperLogLog sketches", 2017, algorithm 6), which needs no table of biases. It uses only arithmetic that gives
   * the same result on every machine.
   */
  estimate(): number {
    const ranks = new Array<number>(rankBits + 2).fill(0)
    for (const rank of this.registers) ranks[rank] = (ranks[rank] as number) + 1
    let z = size * tau(1 - (ranks[rankBits + 1] as number) / size)
    for (let rank = rankBits; rank >= 1; rank--) z = (z + (ranks[rank] as number)) / 2
    z += size * sigma((ranks[0] as number) / size)
    return Math.round((alpha * size * size) / z)
  }
}

function sigma(start: number): number {
  if (start === 1) return Number.POSITIVE_INFINITY
  let x = start
  let weight = 1
  let sum = x
  for (let before = -1; sum !== before;) {
    x *= x
    before = sum
    sum += x * weight
    weight += weight
  }
  return sum
}

function tau(start: number): number {
  if (start === 0 || start === 1) return 0
  let x = start
  let weight = 1
  let sum = 1 - x
  for (let before = -1; sum !== before;) {
    x = Math.sqrt(x)
    before = sum
    weight /= 2
    sum -= (1 - x) ** 2 * weight
  }
  return sum / 3
}
