/** Numbers that look random and are the same for the same seed: for intervals by simulation that can be repeated. */
export interface Random {
  /** Uniform in [0, 1), a multiple of 2^-32. */
  next(): number
  /** Uniform whole number in [0, below). */
  below(below: number): number
  /** Standard normal. */
  normal(): number
}

/** xoshiro128**, seeded by splitmix32. Source: Blackman and Vigna, ACM TOMS 47 (2021). */
export function createRandom(seed: number): Random {
  let mixed = seed | 0
  const part = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0
    let z = mixed ^ (mixed >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return z ^ (z >>> 15)
  }
  let [a, b, c, d] = [part(), part(), part(), part()]
  const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits))
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9)
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return (result >>> 0) / 2 ** 32
  }
  return {
    next,
    below: (below) => Math.floor(next() * below),
    // Box and Muller: 1 - next() is never 0
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  }
}
