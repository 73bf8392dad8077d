import { LockstepError } from '../../../kernel/errors.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { Traffic } from '../../traffic/traffic.ts'
import type { Principal } from '../../traffic/key-ring.ts'
import { checkScope, keyOf } from '../../traffic/key-ring.ts'
import type { LimitState, LimitUnit } from '../../traffic/rate-limiter.ts'
import { beforeDeadline, limitOf, timeoutHeader, timeoutOf } from '../../traffic/request-deadline.ts'
import { checkQuery } from './check-query.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import { answerOnce, idempotencyHeader, isIdempotent } from './idempotent.ts'
import { requireLocalHost } from './require-local-host.ts'
import type { Route } from './route.ts'

/**
 * Has a route's handler answer, where the request's key allows it. Its deadline is set by then, and is for the caller to watch over; where the key has limits, it is watched over here.
 *
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY`, `OVERLOADED`, `RATE_LIMITED`, and what the handler
 *   throws
 */
export function passGateway(call: Call, route: Route, deps: ServingContext): RouteAnswer | Promise<RouteAnswer> {
  if (route.scope === null) return route.handle(call, deps)
  const principal = authorize(call, route.scope, deps)
  if (principal !== null) {
    call.leaveKey = deps.traffic.places.take(principal.id)
    call.outgoing.on('close', call.leaveKey)
  }
  if (principal === null || (principal.requestsPerSecond === null && principal.rowsPerSecond === null)) return handled(call, route, deps)
  return takeRequest(call, route.scope, principal, deps.traffic).then(() => {
    const made = handled(call, route, deps)
    return call.deadline !== undefined && made instanceof Promise ? beforeDeadline(call.deadline, made) : made
  })
}

/** Whose request it is, by its key. @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY` */
export function authorize(call: Call, scope: Scope, { traffic: { keys } }: Pick<ServingContext, 'traffic'>): Principal | null {
  const { headers } = call.incoming
  const principal = keys.authorize(keyOf(headers), scope)
  call.principal = principal?.id ?? null
  call.scopes = principal?.scopes ?? null
  if (principal === null && keys.unprotected) requireLocalHost(headers.host)
  return principal
}

function handled(call: Call, route: Route, deps: ServingContext): RouteAnswer | Promise<RouteAnswer> {
  if (route.query !== undefined) checkQuery(call, route.query)
  const limitMs = limitOf(timeoutOf(call.incoming.headers[timeoutHeader]), route.scope === 'admin' ? null : deps.traffic.requestTimeoutMs)
  if (limitMs !== null) call.deadline = { at: call.startedMs + limitMs, limitMs }
  if (call.incoming.headers[idempotencyHeader] !== undefined && isIdempotent(route)) return answerOnce(call, route, deps)
  return route.handle(call, deps)
}

/** Takes one of the requests that a key may make in a second, and has the rows taken once they are known. */
async function takeRequest(call: Call, scope: Scope, key: Principal, { limits }: Traffic): Promise<void> {
  const { requestsPerSecond, rowsPerSecond, id: owner } = key
  const take = async (unit: LimitUnit, perSecond: number, units: number) => {
    const note = (state: LimitState) => (call.limits = [...(call.limits ?? []), state])
    try {
      note(await limits.take({ owner, scope, unit, perSecond }, units))
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'RATE_LIMITED')
        note({ unit, perSecond, remaining: 0, resetMs: Number(error.details['retryAfterMs']) })
      throw error
    }
  }
  if (rowsPerSecond !== null) call.takeRows = (rows) => take('rows', rowsPerSecond, rows)
  if (requestsPerSecond !== null) await take('requests', requestsPerSecond, 1)
}

/** Asks for another scope than that of the route. @throws LockstepError `FORBIDDEN` */
export function requireScope({ scopes, principal }: Call, scope: Scope): void {
  if (scopes !== null && principal !== null) checkScope({ id: principal, scopes }, scope)
}

/**
 * Takes the rows of a request from what its key may ask for.
 *
 * @throws LockstepError `RATE_LIMITED`
 */
export async function takeRows(call: Call, rows: number): Promise<void> {
  const take = call.takeRows
  if (take !== undefined && rows > 0) await take(rows)
}

/** How many entities or events a body has: an array of them, or arrays by their columns as Feast sends them. */
export function rowsOf(body: unknown): number {
  if (typeof body !== 'object' || body === null) return 0
  const rows: unknown = ['entities', 'events', 'df']
    .map((name) => (body as Readonly<Record<string, unknown>>)[name])
    .find((each) => each !== undefined)
  if (Array.isArray(rows)) return rows.length
  const [column]: unknown[] = typeof rows === 'object' && rows !== null ? Object.values(rows) : []
  return Array.isArray(column) ? column.length : 0
}

const refusals: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'DEADLINE_EXCEEDED'])

/** Whether a request was refused before it was handled. */
export function isRefusal(error: unknown): error is LockstepError {
  if (!(error instanceof LockstepError)) return false
  const { code, details } = error
  return refusals.has(code) || (code === 'OVERLOADED' && details['key'] !== undefined)
}
