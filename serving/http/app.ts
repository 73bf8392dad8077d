import { randomUUID } from 'node:crypto'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import type { AppDeps, RequestEnv } from './context.ts'
import { errorAnswer } from './error-answer.ts'
import { answerFeatures } from './features-route.ts'
import { answerModel, answerModels } from './models-route.ts'
import { answerPredict } from './predict-route.ts'

const acceptableId = /^[\x21-\x7e]{1,128}$/

type Method = 'GET' | 'POST'

/** The HTTP interface. Every answer, errors included, carries `x-request-id`: the caller's where it sent one, else a new one. */
export function createApp(deps: AppDeps): Hono<RequestEnv> {
  const app = new Hono<RequestEnv>()

  route('POST', '/v1/features', (c) => answerFeatures(c, deps))
  route('POST', '/v1/predict', (c) => answerPredict(c, deps))
  route('GET', '/v1/models', (c) => answerModels(c, deps))
  route('GET', '/v1/models/:name', (c) => answerModel(c, deps, c.req.param('name') ?? ''))
  route('GET', '/livez', (c) => c.json({ live: true }))
  route('GET', '/readyz', (c) => {
    const { ready, reasons, warnings } = deps.readiness()
    return c.json({ ready, ...(ready ? {} : { reasons }), ...(warnings.length > 0 ? { warnings } : {}) }, ready ? 200 : 503)
  })
  route('GET', '/metrics', async (c) =>
    c.body(await deps.metrics.registry.metrics(), 200, { 'content-type': deps.metrics.registry.contentType }),
  )
  app.notFound((c) =>
    answer(c, 'none', () => {
      throw new LockstepError('NOT_FOUND', `There is nothing at "${c.req.path}"; see the list of routes in the documentation.`, {
        details: { path: c.req.path },
      })
    }),
  )
  return app

  function route(method: Method, path: string, handle: (c: Context<RequestEnv>) => Response | Promise<Response>): void {
    app.on(method, path, (c) => answer(c, path, handle))
    app.all(path, (c) =>
      answer(c, path, () => {
        c.header('allow', method)
        throw new LockstepError('METHOD_NOT_ALLOWED', `"${c.req.path}" takes ${method}, not ${c.req.method}.`, { details: { allow: [method] } })
      }),
    )
  }

  async function answer(
    c: Context<RequestEnv>,
    path: string,
    handle: (c: Context<RequestEnv>) => Response | Promise<Response>,
  ): Promise<Response> {
    const start = performance.now()
    const sent = c.req.header('x-request-id')
    const requestId = sent !== undefined && acceptableId.test(sent) ? sent : randomUUID()
    c.set('requestId', requestId)
    c.header('x-request-id', requestId)
    if (deps.readiness().closing) c.header('connection', 'close')
    let response: Response
    try {
      response = await handle(c)
    } catch (error) {
      response = errorAnswer(c, error, deps.log)
    }
    deps.metrics.request(path, response.status, (performance.now() - start) / 1000)
    return response
  }
}
