import { randomUUID } from 'node:crypto'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import { answerBackfill, answerBackfills, answerBeginBackfill, answerCancelBackfill } from './backfills-route.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import { jsonAnswer } from './context.ts'
import { errorAnswer } from './error-answer.ts'
import { answerEvents } from './events-route.ts'
import { answerFeatures } from './features-route.ts'
import { answerModel, answerModels } from './models-route.ts'
import { answerPredict } from './predict-route.ts'

const acceptableId = /^[\x21-\x7e]{1,128}$/

type Method = 'GET' | 'POST' | 'DELETE'
type Handler = (c: Context<RequestEnv>) => RouteAnswer | Promise<RouteAnswer>

/** The HTTP interface. Every answer, errors included, carries `x-request-id`: the caller's where it sent one, else a new one. */
export function createApp(deps: AppDeps): Hono<RequestEnv> {
  const app = new Hono<RequestEnv>()

  route('POST', '/v1/features', (c) => answerFeatures(c, deps))
  route('POST', '/v1/predict', (c) => answerPredict(c, deps))
  route('POST', '/v1/sources/:name/events', (c) => answerEvents(c, deps, c.req.param('name') ?? ''))
  route('GET', '/v1/models', (c) => answerModels(c, deps))
  route('GET', '/v1/models/:name', (c) => answerModel(c, deps, c.req.param('name') ?? ''))
  routes('/v1/backfills', { GET: (c) => answerBackfills(c, deps), POST: (c) => answerBeginBackfill(c, deps) })
  routes('/v1/backfills/:id', {
    GET: (c) => answerBackfill(c, deps, c.req.param('id') ?? ''),
    DELETE: (c) => answerCancelBackfill(c, deps, c.req.param('id') ?? ''),
  })
  route('GET', '/livez', () => jsonAnswer({ live: true }))
  route('GET', '/readyz', () => {
    const { ready, reasons, warnings } = deps.readiness()
    return jsonAnswer({ ready, ...(ready ? {} : { reasons }), ...(warnings.length > 0 ? { warnings } : {}) }, ready ? 200 : 503)
  })
  route('GET', '/metrics', async () => {
    const { registry } = deps.metrics
    return { status: 200, body: await registry.metrics(), contentType: registry.contentType }
  })
  app.notFound((c) =>
    answer(c, 'none', () => {
      throw new LockstepError('NOT_FOUND', `There is nothing at "${c.req.path}"; see the list of routes in the documentation.`, {
        details: { path: c.req.path },
      })
    }),
  )
  return app

  function route(method: Method, path: string, handle: Handler): void {
    routes(path, { [method]: handle })
  }

  function routes(path: string, handlers: Readonly<Partial<Record<Method, Handler>>>): void {
    const allow = Object.keys(handlers)
    for (const [method, handle] of Object.entries(handlers)) app.on(method, path, (c) => answer(c, path, handle))
    app.all(path, async (c) => {
      const response = await answer(c, path, () => {
        throw new LockstepError('METHOD_NOT_ALLOWED', `"${c.req.path}" takes ${allow.join(', ')}, not ${c.req.method}.`, {
          details: { allow },
        })
      })
      response.headers.set('allow', allow.join(', '))
      return response
    })
  }

  async function answer(c: Context<RequestEnv>, path: string, handle: Handler): Promise<Response> {
    const start = performance.now()
    const sent = c.env.incoming.headers['x-request-id']
    const requestId = typeof sent === 'string' && acceptableId.test(sent) ? sent : randomUUID()
    c.set('requestId', requestId)
    let made: RouteAnswer
    try {
      made = await handle(c)
    } catch (error) {
      made = errorAnswer(requestId, error, deps.log)
    }
    deps.metrics.request(path, made.status, (performance.now() - start) / 1000)
    // A plain record and a text take the short way through @hono/node-server: no Headers and no stream are made.
    const headers: Record<string, string> = {
      'content-type': made.contentType ?? 'application/json',
      'x-request-id': requestId,
      ...made.headers,
    }
    if (deps.closing()) headers['connection'] = 'close'
    return new Response(made.body, { status: made.status, headers })
  }
}
