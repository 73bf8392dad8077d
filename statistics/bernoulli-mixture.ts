import { logBeta } from './gamma.ts'

/** Weights of success and failure of a Beta distribution. */
export type BetaPrior = readonly [number, number]

/** Successes among `n` draws. */
export interface Draws {
  readonly successes: number
  readonly n: number
}

/**
 * The logarithm of the likelihood of the draws, averaged over p by a Beta distribution. Its ratio to the likelihood at
 * the true p is a martingale, so it exceeds 1/alpha at any time with probability alpha at most (Ville's inequality).
 * Source: Robbins, Ann. Math. Statist. 41 (1970).
 */
export function logMixture({ successes, n }: Draws, [a, b]: BetaPrior): number {
  return logBeta(a + successes, b + n - successes) - logBeta(a, b)
}

/** The logarithm of the likelihood of the draws at p. */
export function logLikelihood({ successes, n }: Draws, p: number): number {
  const failures = n - successes
  return (successes === 0 ? 0 : successes * Math.log(p)) + (failures === 0 ? 0 : failures * Math.log1p(-p))
}

/** Where a condition that holds at `inside` and not at `outside` begins to hold, by halving. */
export function edge(holds: (x: number) => boolean, outside: number, inside: number): number {
  let [out, within] = [outside, inside]
  for (let i = 0; i < 200; i++) {
    const middle = (out + within) / 2
    if (middle === out || middle === within) break
    if (holds(middle)) within = middle
    else out = middle
  }
  return out
}
