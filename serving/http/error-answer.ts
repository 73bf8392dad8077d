import type { Logger } from '../../runtime/log.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { RouteAnswer } from './context.ts'
import { statusOf } from './status.ts'

/** `{ error: { code, message, details, requestId } }` with the status of the code; what is not a Lockstep error is INTERNAL, and its message stays in the log. */
export function errorAnswer(requestId: string, error: unknown, log: Logger): RouteAnswer {
  const known =
    error instanceof LockstepError
      ? error
      : new LockstepError('INTERNAL', `The server failed; its log tells why, under the request id "${requestId}".`, { cause: error })
  const status = statusOf(known.code)
  if (status >= 500)
    log.error(
      { requestId, code: known.code, error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
      'a request failed',
    )
  const body = JSON.stringify(
    { error: { code: known.code, message: known.message, details: known.details, requestId } },
    (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  )
  return { status, body }
}
