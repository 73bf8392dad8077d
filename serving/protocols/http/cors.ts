import type { IncomingMessage } from 'node:http'
import { cutText } from '../../../kernel/cut-text.ts'
import { LockstepError } from '../../../kernel/errors.ts'

/** What a page of another origin may send, and see of an answer. */
const requestHeaders =
  'authorization, x-api-key, x-request-timeout-ms, idempotency-key, content-type, content-encoding, x-request-id, traceparent, tracestate, inference-header-content-length'
const answerHeaders =
  'x-request-id, idempotency-replayed, retry-after, ratelimit, ratelimit-policy, traceparent, www-authenticate, inference-header-content-length'
/** For how long a browser need not ask again, seconds. */
const maxAge = '7200'
/** Those by which a page can do no more than ask. */
const harmless = new Set<string | undefined>(['GET', 'HEAD', 'OPTIONS'])

export interface Cors {
  /** Adds to the headers of an answer what lets a page of this origin read it. */
  allow(origin: string, headers: Record<string, string | number>): void
  /** What a browser is told that asks, for a page, what may be sent to a path. */
  preflight(methods: readonly string[]): Readonly<Record<string, string>>
  /**
   * A browser sends some requests of any page without asking first, and keeps only the answer from it. So those that may do something are refused here.
   *
   * @throws LockstepError `FORBIDDEN` where the page is neither this server's own nor of the origins
   */
  check(incoming: Pick<IncomingMessage, 'method' | 'headers'>): void
}

/**
 * Which pages may use the server from a browser. Keys travel in a header that a page must set itself, never in cookies, so no credentials are allowed.
 *
 * @param origins such as `https://app.example`, or `*` for all; without any, none
 */
export function createCors(origins: readonly string[]): Cors {
  const known = new Set(origins)
  const all = known.has('*')
  return {
    allow(origin, headers) {
      if (known.size === 0) return
      if (!all) headers['vary'] = headers['vary'] === undefined ? 'origin' : `${headers['vary']}, origin`
      if (!all && !known.has(origin)) return
      headers['access-control-allow-origin'] = all ? '*' : origin
      headers['access-control-expose-headers'] = answerHeaders
    },
    check({ method, headers: { origin, host } }) {
      if (origin === undefined || all || harmless.has(method) || known.has(origin)) return
      if (host !== undefined && /^https?:\/\/(.+)$/.exec(origin)?.[1] === host.toLowerCase()) return
      throw new LockstepError(
        'FORBIDDEN',
        `Pages of the origin "${cutText(origin, 200)}" may send nothing here; list it in LOCKSTEP_CORS_ORIGINS where they are meant to.`,
        { details: { origin: cutText(origin, 200) } },
      )
    },
    preflight(methods) {
      if (known.size === 0) return {}
      return {
        'access-control-allow-methods': methods.join(', '),
        'access-control-allow-headers': requestHeaders,
        'access-control-max-age': maxAge,
      }
    },
  }
}
