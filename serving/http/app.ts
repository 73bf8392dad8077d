import type { Context } from 'hono'
import { Hono } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import { limitHeaders } from '../gateway/rate-limiter.ts'
import type { Trace } from '../gateway/trace.ts'
import { traceOf, traceparent } from '../gateway/trace.ts'
import { backfillRoutes } from './backfills-route.ts'
import { createCors } from './cors.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import { deflated, isDeflatable } from './deflate.ts'
import { docsRoutes } from './docs-routes.ts'
import { errorAnswer } from './error-answer.ts'
import { eventRoutes } from './events-route.ts'
import { feastRoutes } from './feast/feast-routes.ts'
import { explainRoutes } from './explain-route.ts'
import { featureRoutes } from './features-route.ts'
import { healthRoutes } from './health-routes.ts'
import { modelChangeRoutes } from './model-changes-route.ts'
import { modelRoutes } from './models-route.ts'
import { waitedSince } from './guard.ts'
import { oipRoutes } from './oip/oip-routes.ts'
import { passGateway } from './pass-gateway.ts'
import { predictRoutes } from './predict-route.ts'
import { requestIdOf } from './request-id.ts'
import type { ErrorShape, Route } from './route.ts'

const described: readonly Route[] = [
  ...featureRoutes,
  ...explainRoutes,
  ...predictRoutes,
  ...eventRoutes,
  ...modelRoutes,
  ...modelChangeRoutes,
  ...oipRoutes,
  ...feastRoutes,
  ...backfillRoutes,
  ...healthRoutes,
]

/** Every operation of the HTTP interface. */
export const routes: readonly Route[] = [...described, ...docsRoutes(described)]

/** The HTTP interface. Every answer, errors included, carries `x-request-id`: the caller's where it sent one, else a new one. */
export function createApp(deps: AppDeps): Hono<RequestEnv> {
  const app = new Hono<RequestEnv>()
  const cors = createCors(deps.corsOrigins)
  for (const [path, ofPath] of Map.groupBy(routes.flatMap(withBothPaths), (route) => route.path)) {
    for (const route of ofPath)
      app.on(route.method, path, (c) => answer(c, route, (context, start) => passGateway(context, route, deps, start)))
    refuseOthers(path, ofPath)
  }
  app.notFound((c) =>
    answer(c, c.req.path.startsWith('/v2/') ? nowhereOfV2 : nowhere, () => {
      throw new LockstepError('NOT_FOUND', `There is nothing at "${c.req.path}"; GET /docs lists what there is.`, {
        details: { path: c.req.path },
      })
    }),
  )
  return app

  /** Says what a path takes to requests by other methods. */
  function refuseOthers(path: string, ofPath: readonly Route[]): void {
    const methods = ofPath.flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
    const allow = [...methods, 'OPTIONS'].join(', ')
    app.options(path, (c) =>
      answer(c, { path }, () => ({
        status: 204,
        body: null,
        headers: { allow, ...(c.env.incoming.headers.origin === undefined ? {} : cors.preflight(methods)) },
      })),
    )
    app.all(path, (c) =>
      answer(
        c,
        ofPath[0] ?? nowhere,
        () => {
          throw new LockstepError('METHOD_NOT_ALLOWED', `"${c.req.path}" takes ${methods.join(', ')}, not ${c.req.method}.`, {
            details: { allow: methods },
          })
        },
        { allow },
      ),
    )
  }

  async function answer(
    c: Context<RequestEnv>,
    route: { readonly path: string; readonly errors?: ErrorShape },
    handle: (c: Context<RequestEnv>, start: number) => RouteAnswer | Promise<RouteAnswer>,
    more?: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const { incoming } = c.env
    const start = waitedSince(incoming) ?? performance.now()
    const requestId = requestIdOf(incoming.headers['x-request-id'])
    c.set('requestId', requestId)
    const { traceparent: parent } = incoming.headers
    let trace = parent === undefined ? null : traceOf(parent)
    let made: RouteAnswer
    try {
      cors.check(incoming)
      made = await handle(c, start)
    } catch (error) {
      trace ??= traceOf(undefined)
      made = errorAnswer(requestId, error, { log: deps.log, shape: route.errors, trace })
    }
    if (isDeflatable(made)) made = await deflated(made, incoming.headers['accept-encoding'])
    const ms = performance.now() - start
    deps.metrics.request(route.path, made.status, ms / 1000)
    logAccess(c, route.path, made.status, ms, trace)
    // A plain record and a text take the short way through @hono/node-server: no Headers and no stream are made.
    const headers: Record<string, string> = {
      'content-type': made.contentType ?? 'application/json',
      'x-request-id': requestId,
      ...made.headers,
      ...more,
    }
    const { origin } = incoming.headers
    if (origin !== undefined) cors.allow(origin, headers)
    if (parent !== undefined && trace !== null) headers['traceparent'] = traceparent(trace)
    const limits = c.get('limits')
    if (limits !== undefined) Object.assign(headers, limitHeaders(limits))
    if (deps.closing()) headers['connection'] = 'close'
    return new Response(made.body, { status: made.status, headers })
  }

  /** Each request where the log has level debug, else a share of them. */
  function logAccess(c: Context<RequestEnv>, route: string, status: number, ms: number, traced: Trace | null): void {
    const { accessLogShare } = deps.gateway
    const sampled = accessLogShare > 0 && Math.random() < accessLogShare
    if (!sampled && !deps.log.isLevelEnabled('debug')) return
    const { traceId, spanId, parentId } = traced ?? traceOf(undefined)
    const line = {
      requestId: c.get('requestId'),
      traceId,
      spanId,
      parentId,
      method: c.req.method,
      route,
      status,
      ms,
      key: c.get('principal') ?? null,
    }
    if (sampled) deps.log.info(line, 'a request was answered')
    else deps.log.debug(line, 'a request was answered')
  }
}

function withBothPaths(route: Route): Route[] {
  return route.alsoPath === undefined ? [route] : [route, { ...route, path: route.alsoPath }]
}

/** What stands for the route of a request that has none. */
const nowhere = { path: 'none' }
const nowhereOfV2 = { ...nowhere, errors: 'oip' } as const
