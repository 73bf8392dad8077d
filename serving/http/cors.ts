/** What a page of another origin may send, and see of an answer. */
const requestHeaders =
  'authorization, x-api-key, x-request-timeout-ms, content-type, content-encoding, x-request-id, traceparent, tracestate, inference-header-content-length'
const answerHeaders =
  'x-request-id, retry-after, ratelimit, ratelimit-policy, traceparent, www-authenticate, inference-header-content-length'
/** For how long a browser need not ask again, seconds. */
const maxAge = '7200'

export interface Cors {
  /** Adds to the headers of an answer what lets a page of this origin read it. */
  allow(origin: string, headers: Record<string, string>): void
  /** What a browser is told that asks, for a page, what may be sent to a path. */
  preflight(methods: readonly string[]): Readonly<Record<string, string>>
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
