import { LockstepError } from '../../kernel/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { asLockstepError, isTooManyConnections, moreConnections, obstacleOf } from '../../runtime/postgres-unavailable.ts'
import { shortError, shortMessage } from './short-error.ts'
import type { Trace } from './trace.ts'
import { traceOf } from './trace.ts'

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

export interface FailedRequest {
  readonly requestId: string
  readonly trace: Trace | null
  readonly error: unknown
  /** The same error as its client sees it. */
  readonly shown: LockstepError
  /** The HTTP status of its code, also where the request came by another protocol. */
  readonly status: number
}

/** Logs an error: with its stack where the server failed, else at level debug. */
export function logError(log: Logger, { requestId, trace, error, shown, status }: FailedRequest): void {
  const failed = isFailure(shown, status)
  if (!failed && !log.isLevelEnabled('debug')) return
  const { traceId, spanId, parentId } = trace ?? traceOf(undefined)
  const line = { requestId, traceId, spanId, parentId, code: shown.code, error: shortMessage(asLockstepError(error).message) }
  if (failed) log.error({ ...line, stack: error instanceof Error ? error.stack : undefined }, 'a request failed')
  else log.debug(line, 'a request was refused')
}

/** Whether the server failed. Otherwise the request asked for something wrong, for too much, or in too little time. */
function isFailure({ code }: LockstepError, status: number): boolean {
  return status >= 500 && status !== 501 && code !== 'DEADLINE_EXCEEDED' && code !== 'OVERLOADED'
}
