import { logGamma } from './gamma.ts'

/** How near to the plan the alternative is. This finds gross mismatches early. */
const concentration = 100

/**
 * The p-value of a sample-ratio mismatch that stays valid however often it is asked: the inverse of the Bayes factor of
 * a Dirichlet-multinomial alternative around the planned shares. Take the least of all looks. Arms without a share are
 * left out. Source: Lindon and Malek, NeurIPS 2022 ("Anytime-valid inference for multinomial count data").
 *
 * @param counts units by arm
 * @param shares the planned share by arm, above 0 for arms that count; they need not add up to 1
 * @throws RangeError where a unit is in an arm without a share
 */
export function sampleRatioP(counts: readonly number[], shares: readonly number[]): number {
  const stray = counts.findIndex((count, i) => count > 0 && !((shares[i] ?? 0) > 0))
  if (stray >= 0) throw new RangeError(`Arm ${stray} has ${counts[stray]} units and no share.`)
  const arms = counts.flatMap((count, i) => ((shares[i] ?? 0) > 0 ? [{ count, share: shares[i] as number }] : []))
  const sum = arms.reduce((total, { share }) => total + share, 0)
  const n = arms.reduce((total, { count }) => total + count, 0)
  let logBayes = logGamma(concentration) - logGamma(concentration + n)
  for (const { count, share } of arms) {
    const expected = share / sum
    const weight = concentration * expected
    logBayes += logGamma(weight + count) - logGamma(weight) - count * Math.log(expected)
  }
  return Math.min(1, Math.exp(-logBayes))
}
