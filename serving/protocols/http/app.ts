import type { ServerResponse } from 'node:http'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { LockstepError } from '../../../kernel/errors.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, FileRange, RouteAnswer } from './call.ts'
import { crossOrigin } from './response/cors.ts'
import type { HttpCall } from './call-stages.ts'
import { createHttpCalls } from './call-stages.ts'
import type { IncomingRequest } from './request/incoming-request.ts'
import { invalidMessage } from './request/invalid-message.ts'
import { pathOf } from './request/request-path.ts'
import type { ErrorShape, Route } from './route.ts'
import { routes } from './routes.ts'
import { answerHeaders, createSender } from './response/send-response.ts'
import type { HttpListener } from './request/serialize-pipelined.ts'
import { serializePipelined } from './request/serialize-pipelined.ts'

export interface ListenerOptions {
  /** Default: those of the HTTP interface. */
  readonly routes?: readonly Route[]
  /** Runs before a request is routed. What it throws is the answer. */
  readonly before?: (incoming: IncomingRequest, outgoing: ServerResponse) => void
}

type Env = { Bindings: HttpCall }

/** The files of answers: Hono knows only their headers. */
const files = new WeakMap<HttpCall, FileRange>()

/**
 * Answers HTTP. An ordinary Hono app has every route. The routes with `isHot` are also matched before it, by Hono's own
 * router, and answered without a `Request` and a `Response`: these and the app take 12 us of CPU, 26 % of the 45 us of
 * a prediction. A hot request with anything unusual (an `Origin`, a query, percent-encoding) is left to the app.
 *
 * Both ways go through the stages of `call-stages.ts` and are sent by `send-response.ts`. `@hono/node-server` would
 * take the place of the latter, but (tried with its version 2.1.9)
 *
 * - it takes in the rest of a refused body for 0.5 s. With `Connection: close`, or if a handler has begun to read the
 *   body, it takes in nothing, and a client that reads only when it has sent 20 MB never gets the answer.
 *   `send-response.ts` takes in the rest for 1 s in all of these cases;
 * - it waits for ever for a client that does not read: the connection was still open after 65 s;
 * - it costs 8.1 us of CPU more per request, which is 18 % of the 45 us of a prediction: 26.9 us instead of the 18.8 us
 *   of a bare server with `IncomingRequest`, for a JSON body of 54 bytes.
 */
export function createHttpListener(context: ServingContext, { routes: own = routes, before }: ListenerOptions = {}): HttpListener {
  const createCall = createHttpCalls(context)
  const send = createSender(context)
  const app = createApp(context, own)
  const hot = new RegExpRouter<Route>()
  for (const route of own) if (route.isHot === true) hot.add(route.method, route.path, route)

  const respondHot = (call: Call, answer: RouteAnswer): void => send(call, answer.status, answerHeaders(call, answer), answer.body)

  return serializePipelined((incoming, outgoing) => {
    const call = createCall(incoming, outgoing)
    const invalid = invalidMessage(incoming, call.requestId)
    if (invalid !== null) return respondHot(call, invalid)
    try {
      before?.(incoming, outgoing)
    } catch (error) {
      return call.start(refusing(error), {}, respondHot)
    }
    const { method = '', url = '', headers } = incoming
    if (headers.origin === undefined && !/[?%]/.test(url)) {
      const [[found], values] = hot.match(method, url)
      if (found !== undefined) return call.start(found[0], paramsOf(found[1], values), respondHot)
    }
    void answerByApp(call)
  })

  async function answerByApp(call: HttpCall): Promise<void> {
    const { status, headers, body } = await app.fetch(requestOf(call.incoming), call)
    const file = files.get(call)
    const bytes = file ?? (body === null ? null : Buffer.from(await new Response(body).arrayBuffer()))
    send(call, status, Object.fromEntries(headers), bytes)
  }
}

function createApp({ corsOrigins }: ServingContext, all: readonly Route[]): Hono<Env> {
  const app = new Hono<Env>({ getPath: (_, options) => pathOf(options?.env?.incoming.url ?? '') })
  for (const [path, ofPath] of Map.groupBy(all.flatMap(withBothPaths), (route) => route.path)) {
    const methods = ofPath.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    if (corsOrigins.length > 0 && ofPath.every(({ isOwnOrigin }) => isOwnOrigin !== true)) app.use(path, crossOrigin(corsOrigins, methods))
    for (const route of ofPath) app.on(route.method, path, (c) => answerTo(c, route))
    const [{ errors = 'lockstep' } = {}] = ofPath
    const refusal = methodRefusal(path, methods, errors)
    app.all(path, (c) => answerTo(c, refusal))
  }
  app.notFound((c) => answerTo(c, c.req.path.startsWith('/v2/') ? notFoundOip : notFound))
  return app
}

/** Takes a call through its stages. */
function answerTo({ env: call, req }: Context<Env>, route: Route): Promise<Response> {
  return new Promise((resolve) =>
    call.start(route, req.param(), (_, answer) => {
      if (answer.file !== undefined) files.set(call, answer.file)
      resolve(new Response(answer.body, { status: answer.status, headers: answerHeaders(call, answer) }))
    }),
  )
}

/** For Hono and its middlewares, which read method and headers. The body is read from Node's request. */
function requestOf({ method = '', headers }: IncomingRequest): Request {
  return new Request('http://localhost', {
    // the platform's Request cannot have this method; the answer is 405, as for other methods that a path lacks
    method: method === 'TRACE' ? 'UNLINK' : method,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
  })
}

function paramsOf(of: Readonly<Record<string, number | string>>, values: readonly string[] = []): Record<string, string> {
  const params: Record<string, string> = {}
  for (const name in of) params[name] = values[of[name] as number] ?? ''
  return params
}

function withBothPaths(route: Route): Route[] {
  return route.alsoPath === undefined ? [route] : [route, { ...route, path: route.alsoPath }]
}

/** Answers what was thrown before the routing. */
function refusing(error: unknown): Route {
  return {
    ...undescribed,
    path: 'none',
    handle() {
      throw error
    },
  }
}

const undescribed = { method: 'GET', scope: null, summary: '', tag: '' } as const

/** Answers `OPTIONS`, and refuses the methods that a path does not have. */
function methodRefusal(path: string, methods: readonly string[], errors: ErrorShape): Route {
  return {
    ...undescribed,
    path,
    errors,
    handle({ incoming: { method, url = '' } }) {
      if (method === 'OPTIONS') return { status: 204, body: null, headers: { allow: [...methods, 'OPTIONS'].join(', ') } }
      throw new LockstepError('METHOD_NOT_ALLOWED', `"${pathOf(url)}" accepts ${methods.join(', ')}, not ${method}.`, {
        details: { allow: methods },
      })
    },
  }
}

const notFound: Route = {
  ...undescribed,
  path: 'none',
  handle({ incoming: { url = '' } }) {
    const path = pathOf(url)
    throw new LockstepError('NOT_FOUND', `There is no route "${path}"; GET /docs lists the routes.`, { details: { path } })
  },
}
const notFoundOip: Route = { ...notFound, errors: 'oip' }
