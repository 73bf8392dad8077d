import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { AggregateParameters } from '../../kernel/specs/view-spec.ts'
import type { Aggregate } from './aggregate.ts'

const minError = 0.001
const maxError = 0.2

/**
 * Checks and returns the parameters that a variance, a stddev or a quantile takes besides its column. Empty for other
 * aggregates.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` naming view and feature
 */
export function aggregateParameters({ aggregate, sample, quantile, error }: Aggregate, what: string): AggregateParameters {
  if (aggregate === 'variance' || aggregate === 'stddev') return sample === true ? { sample } : {}
  if (aggregate !== 'quantile') return {}
  if (typeof quantile !== 'number' || !(quantile > 0 && quantile < 1)) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The ${what} is the quantile ${show(quantile)}; write a number between 0 and 1, such as 0.5 for the median. For 0 and 1, use min and max.`,
    )
  }
  if (typeof error !== 'number' || !(error >= minError && error <= maxError)) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The ${what} is a quantile with the error ${show(error)}; write a number from ${minError} to ${maxError}, such as 0.01 for one per cent.`,
    )
  }
  return { quantile, error }
}
