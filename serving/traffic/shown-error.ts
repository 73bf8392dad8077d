import { LockstepError } from '../../kernel/errors.ts'
import { isTooManyConnections, moreConnections, obstacleOf } from '../../runtime/postgres/postgres-unavailable.ts'
import { shortError } from './short-error.ts'

/**
 * The error as a client may see it: cut short, and without what stays in the log. That is the message of an error that
 * is not Lockstep's own, and where the stores are.
 */
export function shownError(requestId: string, error: unknown): LockstepError {
  if (!(error instanceof LockstepError)) {
    const obstacle = obstacleOf(error)
    if (obstacle !== null) return unavailable('POSTGRES_UNAVAILABLE', obstacle.problem, error)
    return new LockstepError('INTERNAL', `The server failed; its log has the reason, under the request id "${requestId}".`, {
      cause: error,
    })
  }
  if (error.code === 'POSTGRES_UNAVAILABLE' || error.code === 'REDIS_UNAVAILABLE') {
    if (isTooManyConnections(error.cause)) return unavailable(error.code, 'has no free connection', error, ` ${moreConnections}`)
    return unavailable(error.code, 'does not answer', error)
  }
  return shortError(error)
}

function unavailable(code: 'POSTGRES_UNAVAILABLE' | 'REDIS_UNAVAILABLE', problem: string, cause: unknown, remedy = ''): LockstepError {
  const what = code === 'POSTGRES_UNAVAILABLE' ? 'The database' : 'The online store'
  return new LockstepError(code, `${what}, which this request needs, ${problem}; try again soon.${remedy}`, { cause })
}
