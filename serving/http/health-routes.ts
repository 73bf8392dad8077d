import { liveAnswer, readyAnswer } from './answers.ts'
import { jsonAnswer } from './context.ts'
import type { Route } from './route.ts'

/** What tells whether the process is well. */
export const healthRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/livez',
    scope: null,
    summary: 'Whether the process answers',
    tag: 'Health',
    answer: liveAnswer,
    handle: () => jsonAnswer({ live: true }),
  },
  {
    method: 'GET',
    path: '/readyz',
    scope: null,
    summary: 'Whether requests can be answered, and what is amiss',
    tag: 'Health',
    status: [200, 503],
    answer: readyAnswer,
    async handle(_, deps) {
      const { ready, reasons, warnings } = await deps.whole.readiness()
      return jsonAnswer({ ready, ...(ready ? {} : { reasons }), ...(warnings.length > 0 ? { warnings } : {}) }, ready ? 200 : 503)
    },
  },
  {
    method: 'GET',
    path: '/metrics',
    scope: null,
    summary: 'Prometheus metrics',
    tag: 'Health',
    produces: 'text/plain',
    async handle(_, deps) {
      return { status: 200, body: await deps.whole.metrics(), contentType: deps.metrics.registry.contentType }
    },
  },
]
