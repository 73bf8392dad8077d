import { randomUUID } from 'node:crypto'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { LockstepError } from '../../kernel/errors.ts'
import { backfillRoutes } from './backfills-route.ts'
import { createCors } from './cors.ts'
import type { AppDeps, RequestEnv, RouteAnswer } from './context.ts'
import { deflated, isDeflatable } from './deflate.ts'
import { docsRoutes } from './docs-routes.ts'
import { errorAnswer } from './error-answer.ts'
import { eventRoutes } from './events-route.ts'
import { feastRoutes } from './feast/feast-routes.ts'
import { featureRoutes } from './features-route.ts'
import { healthRoutes } from './health-routes.ts'
import { modelRoutes } from './models-route.ts'
import { oipRoutes } from './oip/oip-routes.ts'
import { predictRoutes } from './predict-route.ts'
import type { ErrorShape, Route } from './route.ts'

const described: readonly Route[] = [
  ...featureRoutes,
  ...predictRoutes,
  ...eventRoutes,
  ...modelRoutes,
  ...oipRoutes,
  ...feastRoutes,
  ...backfillRoutes,
  ...healthRoutes,
]

/** Every operation of the HTTP interface. */
export const routes: readonly Route[] = [...described, ...docsRoutes(described)]

const acceptableId = /^[\x21-\x7e]{1,128}$/

/** The HTTP interface. Every answer, errors included, carries `x-request-id`: the caller's where it sent one, else a new one. */
export function createApp(deps: AppDeps): Hono<RequestEnv> {
  const app = new Hono<RequestEnv>()
  const cors = createCors(deps.corsOrigins)
  for (const [path, ofPath] of Map.groupBy(routes.flatMap(withBothPaths), (route) => route.path)) {
    for (const route of ofPath) app.on(route.method, path, (c) => answer(c, route, (context) => route.handle(context, deps)))
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
    handle: (c: Context<RequestEnv>) => RouteAnswer | Promise<RouteAnswer>,
    more?: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const start = performance.now()
    const sent = c.env.incoming.headers['x-request-id']
    const requestId = typeof sent === 'string' && acceptableId.test(sent) ? sent : randomUUID()
    c.set('requestId', requestId)
    let made: RouteAnswer
    try {
      made = await handle(c)
    } catch (error) {
      made = errorAnswer(requestId, error, { log: deps.log, shape: route.errors })
    }
    if (isDeflatable(made)) made = await deflated(made, c.env.incoming.headers['accept-encoding'])
    deps.metrics.request(route.path, made.status, (performance.now() - start) / 1000)
    // A plain record and a text take the short way through @hono/node-server: no Headers and no stream are made.
    const headers: Record<string, string> = {
      'content-type': made.contentType ?? 'application/json',
      'x-request-id': requestId,
      ...made.headers,
      ...more,
    }
    const { origin } = c.env.incoming.headers
    if (origin !== undefined) cors.allow(origin, headers)
    if (deps.closing()) headers['connection'] = 'close'
    return new Response(made.body, { status: made.status, headers })
  }
}

function withBothPaths(route: Route): Route[] {
  return route.alsoPath === undefined ? [route] : [route, { ...route, path: route.alsoPath }]
}

/** What stands for the route of a request that has none. */
const nowhere = { path: 'none' }
const nowhereOfV2 = { ...nowhere, errors: 'oip' } as const
