import { limitHeaders } from '../../traffic/rate-limiter.ts'
import { settleInTime } from '../../traffic/request-deadline.ts'
import type { Trace } from '../../traffic/trace.ts'
import { traceOf, traceparent } from '../../traffic/trace.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import type { Cors } from './cors.ts'
import { deflated, isDeflatable } from './compress.ts'
import { errorAnswer } from './error-answer.ts'
import { leaveEarly } from './admission-listener.ts'
import { isRefusal } from './authorize.ts'
import type { IncomingRequest } from './incoming-request.ts'
import type { ErrorShape } from './route.ts'
import { createUnreadAnswers } from './unread-responses.ts'

/** Of a route, what its answers need. */
export interface AnsweredRoute {
  readonly path: string
  readonly errors?: ErrorShape
}

/** How long a client may take for an answer whose request has no deadline, and at least, past a deadline. */
const readMs = 30_000
const minReadMs = 1000
/** How long what is left of a body is taken from a client that was answered before it had sent all. */
const restMs = 1000

/**
 * Sends what a handler makes of a request before its deadline, or the error that it throws, now or later, with the headers of every answer, and notes it in metrics and log.
 */
export function createAnswering(
  deps: ServingContext,
  cors: Cors,
): (call: Call, route: AnsweredRoute, handle: () => RouteAnswer | Promise<RouteAnswer>, more?: Readonly<Record<string, string>>) => void {
  const unread = createUnreadAnswers()
  return (call, route, handle, more) => {
    const { incoming } = call
    const { traceparent: parent } = incoming.headers
    let trace = parent === undefined ? null : traceOf(parent)
    const failed = (error: unknown) => {
      trace ??= traceOf(undefined)
      if (isRefusal(error)) deps.traffic.metrics.refused(error.code)
      void send(errorAnswer(call.requestId, error, { log: deps.log, shape: route.errors, trace }))
    }
    const send = (made: RouteAnswer) => {
      if (isDeflatable(made)) deflated(made, incoming.headers['accept-encoding']).then(sendAsIs).catch(failed)
      else sendAsIs(made)
    }
    const sendSafely = (made: RouteAnswer) => {
      try {
        send(made)
      } catch (error) {
        failed(error)
      }
    }
    const sendAsIs = (made: RouteAnswer) => {
      const ms = performance.now() - call.startedMs
      deps.metrics.request(route.path, made.status, ms / 1000)
      logAccess(call, route.path, made.status, ms, trace)
      write(call, made, trace, more)
    }
    try {
      cors.check(incoming)
      const made = handle()
      if (!(made instanceof Promise)) send(made)
      else if (call.deadline === undefined) made.then(sendSafely, failed)
      else settleInTime(call.deadline, made, sendSafely, failed)
    } catch (error) {
      failed(error)
    }
  }

  function write(
    call: Call,
    { status, body, contentType, headers: own }: RouteAnswer,
    trace: Trace | null,
    more: Readonly<Record<string, string>> | undefined,
  ): void {
    const { incoming, outgoing, requestId, limits } = call
    // the client may have gone
    if (outgoing.destroyed || outgoing.headersSent) return
    const headers: Record<string, string | number> = { 'x-request-id': requestId }
    if (body !== null) {
      headers['content-type'] = contentType ?? 'application/json'
      headers['content-length'] = Buffer.byteLength(body)
    }
    if (own !== undefined) Object.assign(headers, own)
    if (more !== undefined) Object.assign(headers, more)
    const { origin } = incoming.headers
    if (origin !== undefined) cors.allow(origin, headers)
    if (trace !== null && incoming.headers.traceparent !== undefined) headers['traceparent'] = traceparent(trace)
    if (limits !== undefined) Object.assign(headers, limitHeaders(limits))
    if (deps.closing()) headers['connection'] = 'close'
    outgoing.writeHead(status, headers)
    if (incoming.complete) {
      outgoing.end(body)
    } else if (outgoing.shouldKeepAlive && headers['connection'] !== 'close') {
      outgoing.end(body)
      // Node takes in what is left, but not for as long as the client likes
      afterBody(incoming, () => {
        if (!incoming.complete) incoming.destroy()
      })
    } else {
      // at the end of its last answer Node cuts the connection, and a client that is still sending would not come to read it
      if (body === null) outgoing.flushHeaders()
      else outgoing.write(body)
      afterBody(incoming, () => outgoing.end())
      // whatever it goes on sending is for nothing, and keeps no other request out
      leaveEarly(outgoing, deps.traffic.admission.leave)
      if (call.leaveKey !== undefined) leaveEarly(outgoing, call.leaveKey)
    }
    // what the connection has not taken at once waits for its client to read
    if (outgoing.socket !== null && outgoing.socket.writableLength > 0) {
      const now = performance.now()
      unread.watch(outgoing, Math.max(now + minReadMs, readUntil(call, now)))
    }
  }

  /** The deadline of its request, that it had before it was lifted too, is the answer's as well. */
  function readUntil({ deadline, startedMs }: Call, now: number): number {
    return deadline === undefined ? now + (deps.traffic.requestTimeoutMs ?? readMs) : startedMs + deadline.limitMs
  }

  /** Each request where the log has level debug, else a share of them. */
  function logAccess(call: Call, route: string, status: number, ms: number, traced: Trace | null): void {
    const { accessLogShare } = deps.traffic
    const sampled = accessLogShare > 0 && Math.random() < accessLogShare
    if (!sampled && !deps.log.isLevelEnabled('debug')) return
    const { traceId, spanId, parentId } = traced ?? traceOf(undefined)
    const line = {
      requestId: call.requestId,
      traceId,
      spanId,
      parentId,
      method: call.incoming.method,
      route,
      status,
      ms,
      key: call.principal,
    }
    if (sampled) deps.log.info(line, 'a request was answered')
    else deps.log.debug(line, 'a request was answered')
  }
}

/** Takes in what is left of a body, and then calls `done`; after a while, also where it has not come. */
function afterBody(incoming: IncomingRequest, done: () => void): void {
  let pending = true
  const ended = () => {
    if (!pending) return
    pending = false
    clearTimeout(timer)
    done()
  }
  const timer = setTimeout(ended, restMs)
  incoming.dropRest(ended)
}
