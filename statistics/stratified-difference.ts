/** The figure of one side. */
export interface SideEstimate {
  readonly value: number
  readonly standardError: number
  readonly n: number
}

/** Both sides in one stratum, such as a time in which a row's chance to be treated was the same. */
export interface Stratum {
  readonly control: SideEstimate
  readonly treatment: SideEstimate
}

/** How much larger the standard error of a side is because units come back in several strata: 1 if none does. */
export interface Repeats {
  readonly control: number
  readonly treatment: number
}

/**
 * Compares within strata, and weighs each stratum by its treated observations (direct standardization): the difference
 * for those that were treated. Figures over all strata may differ, or even point the other way, only because one side
 * has more of its observations in a better stratum (Simpson's paradox). Source: Rothman, Greenland and Lash, Modern
 * Epidemiology, 3rd edition, chapter 15.
 *
 * If units come back, the error of a side is at most the sum of its weighted errors, however its strata depend on each
 * other.
 *
 * @param strata at least one, each with observations of both sides
 */
export function stratifiedDifference(
  strata: readonly Stratum[],
  repeats: Repeats = { control: 1, treatment: 1 },
): Stratum & { readonly difference: number; readonly standardError: number } {
  const treated = strata.reduce((sum, { treatment }) => sum + treatment.n, 0)
  const side = (name: keyof Stratum): SideEstimate => {
    let [value, variance, most, n] = [0, 0, 0, 0]
    for (const stratum of strata) {
      const own = stratum[name]
      const weight = stratum.treatment.n / treated
      value += weight * own.value
      variance += (weight * own.standardError) ** 2
      most += weight * own.standardError
      n += own.n
    }
    return { value, standardError: Math.min(most, Math.sqrt(variance) * repeats[name]), n }
  }
  const [control, treatment] = [side('control'), side('treatment')]
  return {
    control,
    treatment,
    difference: treatment.value - control.value,
    standardError: Math.hypot(control.standardError, treatment.standardError),
  }
}

/** The standard error of a mean over all strata, if no unit came back in another stratum. */
export function independentError(strata: readonly Pick<SideEstimate, 'standardError' | 'n'>[]): number {
  const n = strata.reduce((sum, each) => sum + each.n, 0)
  return Math.sqrt(strata.reduce((sum, each) => sum + ((each.n / n) * each.standardError) ** 2, 0))
}
