import type { Context } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import { keyOf } from '../gateway/key-ring.ts'
import { beforeDeadline, timeoutHeader, timeoutOf } from '../gateway/request-deadline.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import type { Route } from './route.ts'

/**
 * Has a route's handler answer, where the request's key allows it, and before its deadline.
 *
 * @param start when the request came, milliseconds of `performance.now()`
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY`, `DEADLINE_EXCEEDED`, and what the handler throws
 */
export async function passGateway(c: Context<RequestEnv>, route: Route, deps: AppDeps, start: number): Promise<RouteAnswer> {
  if (route.scope === null) return await route.handle(c, deps)
  const { gateway } = deps
  const { headers } = c.env.incoming
  try {
    const principal = gateway.keys.authorize(keyOf(headers), route.scope)
    c.set('principal', principal?.id ?? null)
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

function isRefusal({ code }: LockstepError): boolean {
  return code === 'UNAUTHENTICATED' || code === 'FORBIDDEN' || code === 'RATE_LIMITED' || code === 'DEADLINE_EXCEEDED'
}
