import type { Context } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import type { Scope } from '../../registry/keys/scope.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Principal } from '../gateway/key-ring.ts'
import { keyOf } from '../gateway/key-ring.ts'
import type { LimitState, LimitUnit } from '../gateway/rate-limiter.ts'
import { beforeDeadline, timeoutHeader, timeoutOf } from '../gateway/request-deadline.ts'
import { checkQuery } from './check-query.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import type { Route } from './route.ts'

/**
 * Has a route's handler answer, where the request's key allows it, and before its deadline.
 *
 * @param start when the request came, milliseconds of `performance.now()`
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY`, `RATE_LIMITED`, `DEADLINE_EXCEEDED`, and what the handler throws
 */
export async function passGateway(c: Context<RequestEnv>, route: Route, deps: AppDeps, start: number): Promise<RouteAnswer> {
  if (route.scope === null) return await route.handle(c, deps)
  const { gateway } = deps
  const { headers } = c.env.incoming
  try {
    const principal = gateway.keys.authorize(keyOf(headers), route.scope)
    c.set('principal', principal?.id ?? null)
    if (principal !== null) await takeRequest(c, route.scope, principal, gateway)
    if (route.query !== undefined) checkQuery(c, route.query)
    // what an admin asks for may take as long as it does, unless the request says otherwise
    const limitMs = timeoutOf(headers[timeoutHeader]) ?? (route.scope === 'admin' ? null : gateway.requestTimeoutMs)
    if (limitMs === null) return await route.handle(c, deps)
    const deadline = { at: start + limitMs, limitMs }
    c.set('deadline', deadline)
    const made = route.handle(c, deps)
    return made instanceof Promise ? await beforeDeadline(deadline, made) : made
  } catch (error) {
    if (error instanceof LockstepError && isRefusal(error)) gateway.metrics.refused(error.code)
    throw error
  }
}

/** Takes one of the requests that a key may make in a second, and has the rows taken once they are known. */
async function takeRequest(c: Context<RequestEnv>, scope: Scope, key: Principal, { limits }: Gateway): Promise<void> {
  const { requestsPerSecond, rowsPerSecond, id: owner } = key
  const take = async (unit: LimitUnit, perSecond: number, units: number) => {
    const note = (state: LimitState) => c.set('limits', [...(c.get('limits') ?? []), state])
    try {
      note(await limits.take({ owner, scope, unit, perSecond }, units))
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'RATE_LIMITED')
        note({ unit, perSecond, remaining: 0, resetMs: Number(error.details['retryAfterMs']) })
      throw error
    }
  }
  if (rowsPerSecond !== null) c.set('takeRows', (rows) => take('rows', rowsPerSecond, rows))
  if (requestsPerSecond !== null) await take('requests', requestsPerSecond, 1)
}

/**
 * Takes the rows of a request from what its key may ask for.
 *
 * @throws LockstepError `RATE_LIMITED`
 */
export async function takeRows(c: Context<RequestEnv>, rows: number): Promise<void> {
  const take = c.get('takeRows')
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

/** Whether the gateway turned a request away. */
export function isRefusal({ code }: LockstepError): boolean {
  return code === 'UNAUTHENTICATED' || code === 'FORBIDDEN' || code === 'RATE_LIMITED' || code === 'DEADLINE_EXCEEDED'
}
