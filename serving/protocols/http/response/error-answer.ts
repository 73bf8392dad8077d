import type { LockstepError } from '../../../../kernel/errors.ts'
import type { FailureLog } from '../../../traffic/failure-log.ts'
import { shownError } from '../../../traffic/shown-error.ts'
import type { Trace } from '../../../traffic/trace.ts'
import type { RouteAnswer } from '../call.ts'
import type { ErrorShape } from '../route.ts'
import { oipStatusOf, statusOf } from './status.ts'

/** Seconds after which a client may ask again what could not be answered for now. */
const retryAfter = '1'

/** The answer to a request that failed, in the shape of its route, with the status of the code. The error is logged. */
export function errorAnswer(
  requestId: string,
  error: unknown,
  { failures, shape, trace }: { readonly failures: FailureLog; readonly shape: ErrorShape; readonly trace: Trace | null },
): RouteAnswer {
  const shown = shownError(requestId, error)
  const status = shape === 'oip' ? oipStatusOf(shown) : statusOf(shown)
  failures.failed({ requestId, trace, error, shown, status })
  const body = JSON.stringify(shapedError(shown, shape, requestId), (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  return { status, body, headers: errorHeaders(shown, status) }
}

/** The body of an error, in the shape of the route's protocol. */
export function shapedError({ code, message, details }: LockstepError, shape: ErrorShape, requestId: string): unknown {
  switch (shape) {
    case 'lockstep':
      return { error: { code, message, details, requestId } }
    case 'oip':
      return { error: message }
    case 'feast':
      // a text: Feast's clients parse it again, and make one of their own exceptions of it
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

/** Tell a client how to go on. */
function errorHeaders({ code, details }: LockstepError, status: number): Record<string, string> {
  const { scope, allow, sent, retryAfterSeconds } = details
  if (code === 'UNAUTHENTICATED') return { 'www-authenticate': `Bearer realm="lockstep"${sent === true ? ', error="invalid_token"' : ''}` }
  if (code === 'FORBIDDEN' && typeof scope === 'string')
    return { 'www-authenticate': `Bearer realm="lockstep", error="insufficient_scope", scope="${scope}"` }
  if (code === 'METHOD_NOT_ALLOWED' && Array.isArray(allow)) return { allow: [...(allow as string[]), 'OPTIONS'].join(', ') }
  return status === 503 || status === 429 || code === 'IDEMPOTENCY_KEY_BUSY'
    ? { 'retry-after': typeof retryAfterSeconds === 'number' ? String(retryAfterSeconds) : retryAfter }
    : {}
}
