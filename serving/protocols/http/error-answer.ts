import type { Logger } from '../../../runtime/log.ts'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import type { Trace } from '../../traffic/trace.ts'
import type { RouteAnswer } from './context.ts'
import type { ErrorShape } from './route.ts'
import { shortError, shortMessage } from './short-error.ts'
import { oipStatusOf, statusOf } from './status.ts'

/** Seconds after which a client may ask again what could not be answered for now. */
const retryAfter = '1'

/**
 * `{ error: { code, message, details, requestId } }`, or what the route's protocol has in its place, with the status of the code, and `retry-after` with 503 and 429. What is not a Lockstep error is INTERNAL;
 * its message stays in the log, as does where the stores are.
 */
export function errorAnswer(
  requestId: string,
  error: unknown,
  { log, shape = 'lockstep', trace }: { readonly log: Logger; readonly shape?: ErrorShape | undefined; readonly trace?: Trace | null },
): RouteAnswer {
  const told = toldError(requestId, error)
  const status = shape === 'oip' ? oipStatusOf(told) : statusOf(told)
  const traced = trace === null || trace === undefined ? {} : { traceId: trace.traceId, spanId: trace.spanId }
  const logged = { requestId, ...traced, code: told.code, error: shortMessage(messageOf(error)) }
  if (isFailure(told, status)) log.error({ ...logged, stack: error instanceof Error ? error.stack : undefined }, 'a request failed')
  else log.debug(logged, 'a request was refused')
  const body = JSON.stringify(shapedError(told, shape, requestId), (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  return { status, body, headers: errorHeaders(told, status) }
}

/** The body of an error, as the route's protocol has it. */
export function shapedError({ code, message, details }: LockstepError, shape: ErrorShape, requestId: string): unknown {
  switch (shape) {
    case 'lockstep':
      return { error: { code, message, details, requestId } }
    case 'oip':
      return { error: message }
    case 'feast':
      // a text, which Feast's clients parse once more and make an exception of their own of
      return JSON.stringify({ module: 'feast.errors', class: feastClassOf(code, details), message })
    default:
      return shape satisfies never
  }
}

/** The exception of `feast.errors` that a Feast client raises, with our message. */
function feastClassOf(code: LockstepError['code'], { kind }: LockstepError['details']): string {
  if (code !== 'UNKNOWN_DEFINITION') return 'FeastError'
  if (kind === 'source') return 'PushSourceNotFoundException'
  return kind === 'feature service' ? 'FeatureServiceNotFoundException' : 'FeatureViewNotFoundException'
}

/** What tells a client how to go on. */
function errorHeaders({ code, details }: LockstepError, status: number): Record<string, string> {
  if (code === 'UNAUTHENTICATED')
    return { 'www-authenticate': `Bearer realm="lockstep"${details['sent'] === true ? ', error="invalid_token"' : ''}` }
  const { scope } = details
  if (code === 'FORBIDDEN' && typeof scope === 'string')
    return { 'www-authenticate': `Bearer realm="lockstep", error="insufficient_scope", scope="${scope}"` }
  const after = details['retryAfterSeconds']
  return status === 503 || status === 429 || code === 'IDEMPOTENCY_KEY_BUSY'
    ? { 'retry-after': typeof after === 'number' ? String(after) : retryAfter }
    : {}
}

/** The error as a client may see it. */
export function toldError(requestId: string, error: unknown): LockstepError {
  return shortError(shownError(requestId, error))
}

function shownError(requestId: string, error: unknown): LockstepError {
  if (!(error instanceof LockstepError)) {
    return new LockstepError('INTERNAL', `The server failed; its log tells why, under the request id "${requestId}".`, { cause: error })
  }
  if (error.code === 'POSTGRES_UNAVAILABLE' || error.code === 'REDIS_UNAVAILABLE') {
    const what = error.code === 'POSTGRES_UNAVAILABLE' ? 'The database' : 'The online store'
    return new LockstepError(error.code, `${what}, which this request needs, does not answer; try again soon.`, { cause: error })
  }
  return error
}

/** Whether an error tells of a failure here, and not of what the caller asked for, or in how little time. */
export function isFailure({ code }: LockstepError, status: number): boolean {
  return status >= 500 && status !== 501 && code !== 'DEADLINE_EXCEEDED'
}
