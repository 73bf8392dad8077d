import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { cacheFor } from '../../../../runtime/cache-for.ts'
import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import { keyInHeaders } from '../../../traffic/key-ring.ts'
import { isFromHere, requireLocalHost } from '../../../traffic/loopback.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call } from '../call.ts'
import { jsonWithoutId, keptAnswer } from '../call.ts'
import type { Route } from '../route.ts'

const liveAnswer = z.object({ live: z.literal(true).describe('The process answers') })
const readyAnswer = z.object({
  ready: z.boolean().describe('Whether requests can be answered'),
  failing: z.array(z.string()).optional().describe('The parts that make the server not ready, by name'),
  degraded: z.array(z.string()).optional().describe('The parts that have problems although the server is ready, by name'),
  reasons: z.array(z.string()).optional().describe('Why it is not ready. Only for this machine and keys of scope admin'),
  warnings: z.array(z.string()).optional().describe('Other problems. Only for this machine and keys of scope admin'),
})

/** The text takes milliseconds to make, and longer to compress. */
const metricsMs = 1000
const metricsAnswer = memoizeWeak(({ status, metrics }: ServingContext) =>
  cacheFor(metricsMs, async () => keptAnswer(await status.metrics(), { contentType: metrics.registry.contentType })),
)

/** The routes for health checks and metrics. */
export const healthRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/livez',
    scope: null,
    summary: 'Whether the process answers',
    tag: 'Health',
    answer: liveAnswer,
    handle: () => jsonWithoutId({ live: true }),
  },
  {
    method: 'GET',
    path: '/readyz',
    scope: null,
    summary: 'Whether requests can be answered, and what has problems',
    tag: 'Health',
    status: [200, 503],
    answer: readyAnswer,
    async handle(call, deps) {
      const { ready, failing, degraded, reasons, warnings } = await deps.status.readiness()
      const parts = { ...(ready ? {} : { failing }), ...(degraded.length > 0 ? { degraded } : {}) }
      const texts = { ...(ready ? {} : { reasons }), ...(warnings.length > 0 ? { warnings } : {}) }
      return jsonWithoutId({ ready, ...parts, ...(isOperator(call, deps) ? texts : {}) }, ready ? 200 : 503)
    },
  },
  {
    method: 'GET',
    path: '/metrics',
    scope: null,
    isPaced: true,
    summary: 'Prometheus metrics, rendered at most once a second',
    tag: 'Health',
    produces: 'text/plain',
    description:
      'If `LOCKSTEP_METRICS_AUTH` is `required` and the server has keys, it needs a key with the scope `metrics`. With `LOCKSTEP_METRICS_PORT` it is available only on that port.',
    handle(call, deps) {
      if (deps.metricsAt === 'elsewhere') {
        throw new LockstepError('NOT_FOUND', 'The metrics are not on this port; use LOCKSTEP_METRICS_PORT.')
      }
      if (deps.metricsAt === 'required') requireScraper(call, deps)
      return metricsAnswer(deps)()
    },
  },
]

/** @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_READY` */
function requireScraper({ incoming: { headers } }: Call, { traffic: { keys } }: ServingContext): void {
  if (keys.authorize(keyInHeaders(headers), 'metrics') === null && keys.unprotected) requireLocalHost(headers.host)
}

/**
 * Whether a request may read texts that name hosts, views and models. A server with keys shows them to admin keys
 * alone, as a proxy on this machine may make every client look like a program of this machine. A server without keys
 * shows them to this machine.
 */
function isOperator({ incoming }: Call, { traffic: { keys } }: ServingContext): boolean {
  if (!keys.required) return isFromHere(incoming)
  try {
    keys.authorize(keyInHeaders(incoming.headers), 'admin')
    return true
  } catch {
    return false
  }
}
