import { LockstepError } from '../../kernel/errors.ts'
import { Status } from '../../kernel/states/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer } from '../../online/read.ts'

/**
 * The answer to a request whose online views cannot be read:
 *
 * - `error`: the error
 * - `stale`: the states that this server read recently, within its bound; the error if one is missing
 * - `defaults`: the same, and for a missing state the values of an entity that was never seen
 */
export type OnUnavailable = (typeof onUnavailable)[number]
export const onUnavailable = ['error', 'stale', 'defaults'] as const

/**
 * Whether the online store is down, or lacks a part of a view. Any other error of the store is a failure under every
 * policy.
 */
export function isStoreUnavailable(error: unknown): error is LockstepError {
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
