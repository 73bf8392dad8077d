import { LockstepError } from '../../kernel/errors.ts'
import { Status } from '../../kernel/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer } from '../../online/read.ts'

/**
 * What a request is answered whose online views cannot be read:
 *
 * - `error`: the error
 * - `stale`: the states that this server has read lately, within the bound that it was given; where one of them is not there, the error
 * - `defaults`: those, and where one is not there what an entity has that was never seen
 */
export type OnUnavailable = (typeof onUnavailable)[number]
export const onUnavailable = ['error', 'stale', 'defaults'] as const

/** Whether the online store is away, or does not hold a view whole; what it answers in error is a failure always. */
export function isAway(error: unknown): error is LockstepError {
  return error instanceof LockstepError && (error.code === 'REDIS_UNAVAILABLE' || error.code === 'NOT_READY')
}

/** The defaults of the view's features, each UNAVAILABLE. */
export function unavailableAnswer(plan: ViewPlan, asOf: number): OnlineAnswer {
  const { values, statuses } = plan.newState().valueAt(asOf)
  return {
    values: { values, statuses: statuses.map(() => Status.unavailable), eventTime: null },
    frontier: null,
    highWater: Number.NEGATIVE_INFINITY,
    bytes: null,
    isDefault: true,
  }
}
