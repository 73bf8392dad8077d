import type { IncomingMessage } from 'node:http'
import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import { LockstepError } from '../../../../kernel/errors.ts'

/** The headers that a page of another origin may send, and may read of an answer. */
const allowHeaders =
  'authorization x-api-key x-request-timeout-ms idempotency-key content-type content-encoding x-request-id traceparent tracestate inference-header-content-length'
const exposeHeaders =
  'x-request-id idempotency-replayed retry-after ratelimit ratelimit-policy traceparent www-authenticate inference-header-content-length'
/** For how long a browser need not ask again, seconds. */
const maxAge = 7200
/** A page can only read by these. */
const readMethods = new Set<string | undefined>(['GET', 'HEAD', 'OPTIONS'])

/**
 * Lets pages of these origins use a path from a browser. Keys travel in a header that a page must set itself, never in
 * cookies, so no credentials are allowed.
 *
 * @param origins such as `https://app.example`, or `*` for all
 */
export function crossOrigin(origins: readonly string[], allowMethods: string[]): MiddlewareHandler {
  const origin = origins.includes('*') ? '*' : [...origins]
  const headers = { allowHeaders: allowHeaders.split(' '), exposeHeaders: exposeHeaders.split(' ') }
  const allow = cors({ origin, allowMethods, ...headers, maxAge })
  return (c, next) => (c.req.header('origin') === undefined ? next() : allow(c, next))
}

/**
 * Refuses a request that may change something and comes from a page of an unknown origin. A browser sends some of these
 * without asking first, and keeps only the answer from the page.
 *
 * @throws LockstepError `FORBIDDEN` where the page is neither this server's own nor of the origins
 */
export function requireKnownOrigin(
  { method, headers: { origin, host } }: Pick<IncomingMessage, 'method' | 'headers'>,
  origins: ReadonlySet<string>,
): void {
  if (origin === undefined || readMethods.has(method) || origins.has('*') || origins.has(origin)) return
  if (host !== undefined && /^https?:\/\/(.+)$/.exec(origin)?.[1] === host.toLowerCase()) return
  throw new LockstepError(
    'FORBIDDEN',
    `Pages of the origin "${origin.slice(0, 200)}" may not send requests here; to allow it, add it to LOCKSTEP_CORS_ORIGINS.`,
    { details: { origin: origin.slice(0, 200) } },
  )
}
