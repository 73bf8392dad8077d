import { Hono } from 'hono'
import type { ServerResponse } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'
import { createAnswering } from './send-response.ts'
import { auditRoutes } from './audit-route.ts'
import { backfillRoutes } from './backfills-route.ts'
import { createCors } from './cors.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RequestEnv } from './context.ts'
import { docsRoutes } from './docs-routes.ts'
import { eventRoutes } from './events-route.ts'
import { feastRoutes } from '../feast/feast-routes.ts'
import { explainRoutes } from './explain-route.ts'
import { featureRoutes } from './features-route.ts'
import { healthRoutes } from './health-routes.ts'
import type { IncomingRequest } from './incoming-request.ts'
import { modelChangeRoutes } from './model-changes-route.ts'
import { modelRoutes } from './models-route.ts'
import { oipRoutes } from '../oip/oip-routes.ts'
import { passGateway } from './authorize.ts'
import { predictRoutes } from './predict-route.ts'
import { requestIdOf } from './request-id.ts'
import { pathOf } from './path-of.ts'
import type { Route } from './route.ts'

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
  ...auditRoutes,
  ...healthRoutes,
]

/** Every operation of the HTTP interface. */
export const routes: readonly Route[] = [...described, ...docsRoutes(described)]

/** Answers a request that came at this moment, milliseconds of `performance.now()`. */
export type Listener = (incoming: IncomingRequest, outgoing: ServerResponse, startedMs: number) => void

/** The HTTP interface. Every answer, errors included, carries `x-request-id`: the caller's where it sent one, else a new one. */
export function createApp(deps: ServingContext): Listener {
  /** Of the paths without parameters, which need no router. */
  const fixed = new Map<string, (call: Call) => void>()
  // answers go to the Node response straight away: a Request and a Response made for each would cost more than the routing
  const app = new Hono<RequestEnv>({ getPath: (_, options) => pathOf(options?.env?.incoming.url ?? '') })
  const seenTo = new Response()
  const cors = createCors(deps.corsOrigins)
  const answer = createAnswering(deps, cors)
  for (const [path, ofPath] of Map.groupBy(routes.flatMap(withBothPaths), (route) => route.path)) {
    const byMethod = new Map<string, Route>(ofPath.map((route) => [route.method, route]))
    // one handler for all methods: of several that match, Hono would make a chain
    const handle = (call: Call) => {
      const { method = '' } = call.incoming
      const route = byMethod.get(method === 'HEAD' ? 'GET' : method)
      if (route === undefined) refuseMethod(call, path, ofPath)
      else answer(call, route, () => passGateway(call, route, deps))
    }
    if (!path.includes(':')) {
      fixed.set(path, handle)
      continue
    }
    app.all(path, ({ env: call, req }) => {
      call.params = req.param()
      handle(call)
      return seenTo
    })
  }
  app.notFound(({ env: call, req: { path } }) => {
    answer(call, path.startsWith('/v2/') ? nowhereOfV2 : nowhere, () => {
      throw new LockstepError('NOT_FOUND', `There is nothing at "${path}"; GET /docs lists what there is.`, { details: { path } })
    })
    return seenTo
  })

  /** Says what a path takes to requests by other methods. */
  function refuseMethod(call: Call, path: string, ofPath: readonly Route[]): void {
    const { method, headers } = call.incoming
    const methods = ofPath.flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
    const allow = [...methods, 'OPTIONS'].join(', ')
    if (method === 'OPTIONS') {
      const asked = headers.origin === undefined ? {} : cors.preflight(methods)
      answer(call, { path }, () => ({ status: 204, body: null, headers: { allow, ...asked } }))
      return
    }
    const refuse = () => {
      throw new LockstepError('METHOD_NOT_ALLOWED', `"${pathOf(call.incoming.url ?? '')}" takes ${methods.join(', ')}, not ${method}.`, {
        details: { allow: methods },
      })
    }
    answer(call, ofPath[0] ?? nowhere, refuse, { allow })
  }

  return (incoming, outgoing, startedMs) => {
    const requestId = requestIdOf(incoming.headers['x-request-id'])
    const call: Call = {
      incoming,
      outgoing,
      startedMs,
      requestId,
      params: noParams,
      principal: null,
      scopes: null,
      leaveKey: undefined,
      idempotent: undefined,
      deadline: undefined,
      takeRows: undefined,
      limits: undefined,
    }
    const handle = fixed.get(pathOf(incoming.url ?? ''))
    if (handle !== undefined) return handle(call)
    // of the request Hono reads its method, and what its path is by `getPath`
    void app.fetch(incoming as unknown as Request, call)
  }
}

const noParams = {}

function withBothPaths(route: Route): Route[] {
  return route.alsoPath === undefined ? [route] : [route, { ...route, path: route.alsoPath }]
}

/** What stands for the route of a request that has none. */
const nowhere = { path: 'none' }
const nowhereOfV2 = { ...nowhere, errors: 'oip' } as const
