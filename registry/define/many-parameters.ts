import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { AggregateParameters } from '../../kernel/specs/view-spec.ts'
import type { Aggregate } from './aggregate.ts'

const maxElements = 1_000
const maxCategories = 10_000

/**
 * Checks and returns the parameters of an aggregate of many values. Empty for other aggregates.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` naming view and feature
 */
export function manyParameters({ aggregate, n, cap }: Aggregate, what: string): AggregateParameters {
  switch (aggregate) {
    case 'firstN':
    case 'lastN':
    case 'lastDistinctN':
      return { n: integer(n, maxElements, `The ${what} takes ${aggregate} of`) }
    case 'topK':
      return { n: integer(n, maxElements, `The ${what} takes topK of`), cap: integer(cap, maxCategories, `The ${what} has a cap of`) }
    case 'histogram':
      return { cap: integer(cap, maxCategories, `The ${what} has a cap of`) }
    default:
      return {}
  }
}

function integer(value: unknown, max: number, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value
  throw new LockstepError('DEFINITIONS_INVALID', `${what} ${show(value)}; write a whole number from 1 to ${max}.`)
}
