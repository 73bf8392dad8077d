import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import type { ServingContext } from '../../../context.ts'
import { limitHeaders } from '../../../traffic/rate-limiter.ts'
import { traceparent } from '../../../traffic/trace.ts'
import type { Call, FileRange, RouteAnswer } from '../call.ts'
import type { IncomingRequest } from '../request/incoming-request.ts'
import { createUnreadResponses } from './unread-responses.ts'

/** How long a client may take to read an answer whose request has no deadline; and at least, past a deadline. */
const readMs = 30_000
const minReadMs = 1000
/** How long the rest of a body is taken in from a client that was answered before it had sent all. */
const restMs = 1000

type Headers = Record<string, string | number>

/** The headers of an answer. */
export function answerHeaders(call: Call, { body, contentType, headers: own }: RouteAnswer): Record<string, string> {
  const { requestId, limits, trace, span, incoming, route } = call
  const headers: Record<string, string> = { 'x-request-id': requestId }
  if (incoming.method === 'GET' || incoming.method === 'HEAD') {
    headers['x-content-type-options'] = 'nosniff'
    // caches know that an answer to `authorization` is for one client, and not that one to `x-api-key` is
    if (route.scope !== null) headers['cache-control'] = 'no-store'
  }
  if (body !== null) {
    headers['content-type'] = contentType ?? 'application/json'
    headers['content-length'] = String(Buffer.byteLength(body))
  }
  if (own !== undefined) Object.assign(headers, own)
  if (trace !== null && (span !== undefined || incoming.headers.traceparent !== undefined)) headers['traceparent'] = traceparent(trace)
  if (limits !== undefined) Object.assign(headers, limitHeaders(limits))
  return headers
}

/**
 * Sends answers over Node's response. Each has its time to be read. The client of a request that is answered before all
 * of its body was sent can read the answer.
 */
export function createSender({ traffic, closing }: Pick<ServingContext, 'traffic' | 'closing'>) {
  const unread = createUnreadResponses()
  const { admission, requestTimeoutMs } = traffic

  return (call: Call, status: number, headers: Headers, body: RouteAnswer['body'] | FileRange): void => {
    const { incoming, outgoing, deadline, startedMs } = call
    // its client may have disconnected
    if (outgoing.destroyed || outgoing.headersSent) return
    if (closing()) headers['connection'] = 'close'
    outgoing.writeHead(status, headers)
    if (body !== null && typeof body === 'object' && 'path' in body) return sendFile(call, body)
    if (incoming.complete) {
      outgoing.end(body)
    } else if (outgoing.shouldKeepAlive && headers['connection'] !== 'close') {
      outgoing.end(body)
      // Node takes in the rest of the body, but not for as long as the client likes
      afterBody(incoming, () => {
        if (!incoming.complete) incoming.destroy()
      })
    } else {
      // at the end of its last answer Node cuts the connection, and a client that is still sending could not read it
      if (body === null) outgoing.flushHeaders()
      else outgoing.write(body)
      afterBody(incoming, () => outgoing.end())
      // the rest of its body keeps no other request out
      leaveEarly(call, admission.leave)
      if (call.leaveKey !== undefined) leaveEarly(call, call.leaveKey)
    }
    // the socket has not taken all of it: the rest waits for the client to read
    if (outgoing.socket !== null && outgoing.socket.writableLength > 0) {
      const now = performance.now()
      // a deadline that was lifted still limits the answer
      const until = deadline === undefined ? now + (requestTimeoutMs ?? readMs) : startedMs + deadline.limitMs
      unread.watch(outgoing, Math.max(now + minReadMs, until))
    }
  }
}

/** A client that reads nothing for so long is gone. */
const stalledMs = 60_000

/**
 * Sends bytes of a file as fast as the client reads them. If that fails, the connection is cut: the client sees that
 * bytes are missing, and asks for the rest.
 */
function sendFile({ incoming, outgoing }: Call, { path, start, length }: FileRange): void {
  if (incoming.method === 'HEAD' || length === 0) return void outgoing.end()
  const bytes = createReadStream(path, { start, end: start + length - 1, highWaterMark: 256 * 1024 })
  let read = 0
  const watch = setInterval(() => {
    if (bytes.bytesRead === read) outgoing.destroy()
    read = bytes.bytesRead
  }, stalledMs)
  // the pipeline and the request's places listen to it more than the ten times at which Node warns
  outgoing.setMaxListeners(20)
  pipeline(bytes, outgoing, (error) => {
    clearInterval(watch)
    if (error) outgoing.destroy()
  })
}

/** Gives a place back before its response closes, where the request has one. */
function leaveEarly({ outgoing }: Call, leave: () => void): void {
  if (!outgoing.listeners('close').includes(leave)) return
  outgoing.off('close', leave)
  leave()
}

/** Takes in the rest of a body, and then calls `done`: after `restMs` at the latest. */
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
