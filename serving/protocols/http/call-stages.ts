import type { ServerResponse } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'
import type { Span, Tracing } from '../../../runtime/tracing/span.ts'
import { errorType } from '../../../runtime/tracing/span.ts'
import type { ServingContext } from '../../context.ts'
import type { Admitted } from '../../traffic/admission.ts'
import { createArrivalClock } from '../../traffic/arrival-clock.ts'
import { authorize } from '../../traffic/authorize.ts'
import type { Principal } from '../../traffic/key-ring.ts'
import { requireLocalHost } from '../../traffic/loopback.ts'
import type { LimitState } from '../../traffic/rate-limiter.ts'
import type { Place } from '../../traffic/place.ts'
import { isRefusal, overloaded } from '../../traffic/refusals.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { deadlineFrom, settleInTime, timeoutHeader, timeoutInHeader } from '../../traffic/request-deadline.ts'
import { requestIdOf } from '../../traffic/request-id.ts'
import type { Trace } from '../../traffic/trace.ts'
import { beginRequest, traceOf } from '../../traffic/trace.ts'
import { checkParams } from './request/check-query.ts'
import { compressed, isCompressible } from './response/compress.ts'
import type { Call, RouteAnswer } from './call.ts'
import { requireKnownOrigin } from './response/cors.ts'
import { errorAnswer } from './response/error-answer.ts'
import { answerOnce, idempotencyHeader, isIdempotent } from './request/idempotent.ts'
import type { IncomingRequest } from './request/incoming-request.ts'
import type { Route } from './route.ts'
import { statusOf } from './response/status.ts'

/** Takes the answer of a request. It is called once for each, unless the client has disconnected. */
export type Respond = (call: Call, answer: RouteAnswer) => void

/** A call that begins with its first stage once its route is known. */
export interface HttpCall extends Call {
  start(route: Route, params: Call['params'], respond: Respond): void
}

/** The dependencies that all calls of a server share. */
interface SharedByCalls {
  readonly context: ServingContext
  readonly arrival: () => number
  /** The origins of pages that may call the server from a browser. */
  readonly origins: ReadonlySet<string>
}

export function createHttpCalls(context: ServingContext): (incoming: IncomingRequest, outgoing: ServerResponse) => HttpCall {
  const shared: SharedByCalls = { context, arrival: createArrivalClock(), origins: new Set(context.corsOrigins) }
  return (incoming, outgoing) => new StagedCall(shared, incoming, outgoing)
}

/**
 * The stages of a call, in their order:
 *
 *     deadline -> admission -> authorization -> handler -> compression -> metrics and access log -> respond
 *
 * Admission comes before authorization, so that a refusal is cheap. It lets operations of health and of admins pass
 * always, and those that are open to all and long (`isPaced`) one after the other.
 *
 * A class: functions made for each request would cost more.
 */
class StagedCall implements HttpCall, Admitted, Place {
  readonly incoming: IncomingRequest
  readonly outgoing: ServerResponse
  readonly startedMs: number
  readonly requestId: string
  trace: Trace | null
  span: Span | undefined = undefined
  route: Route = unrouted
  params: Call['params'] = noParams
  deadline: RequestDeadline | undefined = undefined
  key: Principal | null = null
  leaveKey: (() => void) | undefined = undefined
  takeRows: ((rows: number) => Promise<void>) | undefined = undefined
  limits: readonly LimitState[] | undefined = undefined
  idempotent: string | undefined = undefined
  readonly #shared: SharedByCalls
  #respond: Respond = ignore
  #waiting: Span | undefined = undefined
  #gaveBack = false

  constructor(shared: SharedByCalls, incoming: IncomingRequest, outgoing: ServerResponse) {
    const { traceparent, 'x-request-id': sentId } = incoming.headers
    this.#shared = shared
    this.incoming = incoming
    this.outgoing = outgoing
    this.startedMs = shared.context.traffic.admission.isBusy ? shared.arrival() : performance.now()
    this.requestId = requestIdOf(sentId)
    this.trace = traceparent === undefined ? null : traceOf(traceparent)
  }

  get principal() {
    return this.key?.id ?? null
  }

  get place() {
    return this
  }

  /** Never read for a route that needs no key. */
  get scope() {
    return this.route.scope ?? 'read'
  }

  start(route: Route, params: Call['params'], respond: Respond): void {
    const { scope, isPaced } = route
    const { headers } = this.incoming
    const { context, origins } = this.#shared
    const { traffic, tracing } = context
    this.route = route
    this.params = params
    this.#respond = respond
    if (tracing !== null && scope !== null) this.#trace(tracing)
    try {
      if (headers.origin !== undefined) requireKnownOrigin(this.incoming, origins)
      if (scope !== null) {
        // an admin's request may take as long as it does
        this.deadline = deadlineFrom(
          this.startedMs,
          timeoutInHeader(headers[timeoutHeader]),
          scope === 'admin' ? null : traffic.requestTimeoutMs,
        )
      }
    } catch (error) {
      return this.#fail(error)
    }
    if (isPaced === true) traffic.paced.enter(this)
    else if (scope === null || scope === 'admin') this.#handle()
    else {
      this.#waiting = this.span?.child('wait for admission')
      traffic.admission.enter(this)
    }
  }

  #trace(by: Tracing): void {
    const { method = '', headers } = this.incoming
    const name = `${method} ${this.route.path}`
    const begun = beginRequest(by, name, { trace: this.trace, state: headers.tracestate, startedMs: this.startedMs })
    if (begun === null) return
    this.span = begun.span
    this.trace = begun.trace
    const { socket, url = '', httpVersion } = this.incoming
    this.span.set({
      'http.request.method': method,
      'http.route': this.route.path,
      'url.path': url.split('?', 1)[0],
      'url.scheme': 'encrypted' in socket ? 'https' : 'http',
      'network.protocol.version': httpVersion,
      'user_agent.original': headers['user-agent'],
      'client.address': socket.remoteAddress,
      'lockstep.request_id': this.requestId,
    })
  }

  /** Admitted. */
  run(): void {
    const { admission } = this.#shared.context.traffic
    this.#waiting?.end()
    // its client may have disconnected while it waited
    if (this.outgoing.destroyed) {
      this.span?.end()
      if (this.route.isPaced !== true) admission.leave()
      return
    }
    if (this.route.isPaced !== true) this.outgoing.on('close', admission.leave)
    this.#handle()
  }

  giveBack(): void {
    const { admission } = this.#shared.context.traffic
    if (!this.outgoing.listeners('close').includes(admission.leave)) return
    this.outgoing.off('close', admission.leave)
    this.#gaveBack = true
    admission.pause()
  }

  takeBack(): void {
    // it may have been answered at its deadline, or its client may have disconnected
    if (!this.#gaveBack || this.outgoing.headersSent || this.outgoing.closed) return
    const { admission } = this.#shared.context.traffic
    this.#gaveBack = false
    admission.resume()
    this.outgoing.on('close', admission.leave)
  }

  /** Not admitted. The refusal is not measured or logged as an answer, so that it stays cheap. */
  refuse(): void {
    this.#waiting?.end()
    this.#endSpan(statusOf(overloaded), overloaded)
    if (!this.outgoing.destroyed) this.#respond(this, this.#errorAnswer(overloaded))
  }

  #handle(): void {
    try {
      const limited = this.route.scope === null ? undefined : this.#authorize()
      if (limited !== undefined) return this.#settle(limited.then(() => this.#answer()))
      const answer = this.#answer()
      if (answer instanceof Promise) this.#settle(answer)
      else this.#succeed(answer)
    } catch (error) {
      this.#fail(error)
    }
  }

  #authorize(): Promise<void> | undefined {
    const { headers } = this.incoming
    const { traffic } = this.#shared.context
    const limited = authorize(traffic, this, headers)
    // its key is looked up
    if (limited !== undefined && this.key === null) return limited.finally(() => this.#holdPlace())
    this.#holdPlace()
    if (this.key === null && traffic.keys.unprotected) requireLocalHost(headers.host)
    return limited
  }

  /** Gives its place among the requests of its key back at the end. */
  #holdPlace(): void {
    if (this.leaveKey === undefined) return
    // its client may have disconnected while its key was looked up
    if (this.outgoing.closed) this.leaveKey()
    else this.outgoing.on('close', this.leaveKey)
  }

  #answer(): RouteAnswer | Promise<RouteAnswer> {
    const { route, incoming } = this
    const { context } = this.#shared
    checkParams(this.params)
    if (incoming.headers[idempotencyHeader] !== undefined && isIdempotent(route)) return answerOnce(this, context)
    return route.handle(this, context)
  }

  #settle(work: Promise<RouteAnswer>): void {
    const succeed = (answer: RouteAnswer) => this.#succeed(answer)
    const fail = (error: unknown) => this.#fail(error)
    if (this.deadline === undefined) work.then(succeed, fail)
    else settleInTime(this.deadline, work, succeed, fail)
  }

  #succeed(answer: RouteAnswer): void {
    if (isCompressible(answer)) {
      compressed(answer, this.incoming.headers['accept-encoding'])
        .then((packed) => this.#finish(packed))
        .catch((error: unknown) => this.#fail(error))
      return
    }
    try {
      this.#finish(answer)
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (isRefusal(error)) this.#shared.context.traffic.metrics.refused(error.code)
    // the lines of the error and of the access have the same trace
    this.trace ??= traceOf(undefined)
    this.#finish(this.#errorAnswer(error), error)
  }

  #errorAnswer(error: unknown): RouteAnswer {
    const { rollups, traffic } = this.#shared.context
    rollups.errorAnswered(error)
    return errorAnswer(this.requestId, error, { failures: traffic.failures, shape: this.route.errors ?? 'lockstep', trace: this.trace })
  }

  #finish(answer: RouteAnswer, error?: unknown): void {
    this.#endSpan(answer.status, error)
    const ms = performance.now() - this.startedMs
    this.#shared.context.metrics.request(this.route.path, answer.status, ms / 1000)
    this.#logAccess(answer.status, ms)
    this.#respond(this, answer)
  }

  /** A request that the client should not have sent leaves the span of a server without an error. */
  #endSpan(status: number, error: unknown): void {
    const { span } = this
    if (span === undefined) return
    span.set({ 'http.response.status_code': status, 'lockstep.api_key': this.principal ?? undefined })
    if (status >= 500) span.fail(error)
    else if (error !== undefined) span.set({ 'error.type': errorType(error) })
    span.end()
  }

  /** Each request where the log has level debug, else a share of them. */
  #logAccess(status: number, ms: number): void {
    const { traffic, log } = this.#shared.context
    const { accessLogShare } = traffic
    const sampled = accessLogShare > 0 && Math.random() < accessLogShare
    if (!sampled && !log.isLevelEnabled('debug')) return
    const { requestId, incoming, route, principal: key } = this
    const { traceId, spanId, parentId } = this.trace ?? traceOf(undefined)
    const line = { requestId, traceId, spanId, parentId, method: incoming.method, route: route.path, status, ms, key }
    if (sampled) log.info(line, 'a request was answered')
    else log.debug(line, 'a request was answered')
  }
}

const noParams = {}
const ignore = (): void => undefined

/** The route of a call until it is matched. */
const unrouted: Route = {
  method: 'GET',
  path: 'none',
  scope: null,
  summary: '',
  tag: '',
  handle() {
    throw new LockstepError('INTERNAL', 'The request has no route.')
  },
}
