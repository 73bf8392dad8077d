import type { Draws } from './bernoulli-mixture.ts'

/**
 * Evidence against chance: that the assignment of units explains why more of the treatment's draws are successes. Units
 * are assigned independently, each to the treatment with probability `share`, and all draws of a unit depend on each
 * other. If a unit has the same draws in both arms, only its assignment is random, so the evidence against chance is
 *
 *     Π over the treatment's units of exp(λu) / m(u)  ·  Π over the control's units of 1 / m(u)
 *
 * where u is the unit's successes above the common proportion, and m(u) = 1 - share + share exp(λu) is the mean of what
 * the unit adds. The mean of the product is 1, so it exceeds 1/alpha with probability alpha at most, with any number of
 * units and however unequal they are: nothing is asymptotic. λ is the one that finds most at alpha if units are many.
 * Source: the exact randomization test of Fisher, The Design of Experiments (1935), bounded as by Chernoff, Ann. Math.
 * Statist. 23 (1952).
 *
 * A group of units counts as one unit. Random groups keep the variance, and if few units are in one, less is found.
 *
 * @param control the draws of each unit, or group of units
 * @param share in (0, 1)
 * @returns the logarithm of an e-value; 0 where nothing is known
 */
export function assignmentRise(control: readonly Draws[], treatment: readonly Draws[], share: number, alpha: number): number {
  let [successes, n] = [0, 0]
  for (const arm of [control, treatment]) {
    for (const unit of arm) {
      successes += unit.successes
      n += unit.n
    }
  }
  const above = (unit: Draws): number => unit.successes - (n === 0 ? 0 : (successes / n) * unit.n)
  const [own, others] = [treatment.map(above), control.map(above)]
  const squares = [...own, ...others].reduce((sum, u) => sum + u * u, 0)
  if (squares === 0) return 0
  const lambda = Math.sqrt((-2 * Math.log(alpha)) / (share * (1 - share) * squares))
  const gained = own.reduce((sum, u) => sum + lambda * u - logOfMean(lambda * u, share), 0)
  return others.reduce((sum, u) => sum - logOfMean(lambda * u, share), gained)
}

/** log(1 - share + share exp(x)), without overflow. */
function logOfMean(x: number, share: number): number {
  return x > 0 ? x + Math.log(share + (1 - share) * Math.exp(-x)) : Math.log1p(share * Math.expm1(x))
}
