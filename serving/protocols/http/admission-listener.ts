import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { cutText } from '../../../kernel/cut-text.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import type { Admission, Admitted } from '../../traffic/admission.ts'
import { createArrivalClock } from '../../traffic/arrival-clock.ts'
import type { Paced } from '../../traffic/paced.ts'
import { timeoutHeader } from '../../traffic/request-deadline.ts'
import { traceOf, traceparent } from '../../traffic/trace.ts'
import type { Listener } from './app.ts'
import { createCors } from './cors.ts'
import { shapedError } from './error-answer.ts'
import { inTurn } from './serialize-pipelined.ts'
import type { IncomingRequest } from './incoming-request.ts'
import { pathOf } from './path-of.ts'
import { requestIdOf } from './request-id.ts'
import type { ErrorShape, Route } from './route.ts'

export interface GuardDeps {
  readonly admission: Admission
  /** For the routes that are paced. */
  readonly paced: Paced
  readonly routes: readonly Pick<Route, 'method' | 'path' | 'alsoPath' | 'scope' | 'errors' | 'isPaced'>[]
  /** How long a request may take, milliseconds; null: as long as it says. */
  readonly requestTimeoutMs: number | null
  readonly corsOrigins: readonly string[]
  /** Whether the server is shutting down. */
  readonly closing: () => boolean
}

/**
 * Lets requests in as the admission has it, before anything is made of them, so that a refusal is cheap: 503 with
 * `retry-after`. What tells of health, `OPTIONS`, and what an admin asks for, passes always. What is open to all and
 * long enters one after the other.
 */
export function guarded(
  listener: Listener,
  { admission, paced, routes, requestTimeoutMs, corsOrigins, closing }: GuardDeps,
): RequestListener<typeof IncomingRequest> {
  const kindOf = kinds(routes)
  const cors = createCors(corsOrigins)
  const arrival = createArrivalClock()

  /** A class, as each request makes one: functions made for each would cost more. */
  class Arrival implements Admitted {
    readonly deadline: number
    protected readonly incoming: IncomingRequest
    protected readonly outgoing: ServerResponse
    protected readonly at: number
    readonly #kind: ErrorShape

    constructor(incoming: IncomingRequest, outgoing: ServerResponse, kind: ErrorShape) {
      this.incoming = incoming
      this.outgoing = outgoing
      this.#kind = kind
      this.at = admission.isBusy ? arrival() : performance.now()
      const wanted = Number(incoming.headers[timeoutHeader]) || Number.POSITIVE_INFINITY
      this.deadline = this.at + Math.min(wanted, requestTimeoutMs ?? Number.POSITIVE_INFINITY)
    }

    run(): void {
      // whoever waited for it may have gone
      if (this.outgoing.destroyed) return admission.leave()
      this.outgoing.on('close', admission.leave)
      listener(this.incoming, this.outgoing, this.at)
    }

    refuse(): void {
      if (!this.outgoing.destroyed) refuse(this.incoming, this.outgoing, this.#kind, 503, overloaded)
    }
  }

  function refuse(incoming: IncomingRequest, outgoing: ServerResponse, kind: ErrorShape, status: number, error: LockstepError): void {
    const { headers: sent } = incoming
    const requestId = requestIdOf(sent['x-request-id'])
    const body = JSON.stringify(shapedError(error, kind, requestId))
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'x-request-id': requestId,
    }
    if (status === 503) headers['retry-after'] = '1'

    const { origin, traceparent: parent } = sent
    if (origin !== undefined) cors.allow(origin, headers)
    if (parent !== undefined) headers['traceparent'] = traceparent(traceOf(parent))
    // what is not HTTP/1.1 as it is meant may be read as something else by who passes it on
    if (closing() || status !== 503) headers['connection'] = 'close'
    outgoing.writeHead(status, headers)
    outgoing.end(body)
  }

  /** What its client does with the answer keeps no other one waiting: all answers are the same bytes. */
  class PacedArrival extends Arrival {
    override run(): void {
      if (!this.outgoing.destroyed) listener(this.incoming, this.outgoing, this.at)
    }
  }

  return inTurn((incoming, outgoing) => {
    const wrong = wrongMessage(incoming)
    if (wrong !== null) return refuse(incoming, outgoing, 'lockstep', ...wrong)
    const kind = kindOf(incoming)
    if (kind === 'free') listener(incoming, outgoing, performance.now())
    else if (kind === 'paced') paced.enter(new PacedArrival(incoming, outgoing, 'lockstep'))
    else admission.enter(new Arrival(incoming, outgoing, kind))
  })
}

/**
 * Why a message is not taken that Node's parser has let pass, with its status: as RFC 9112 has it of versions (2.3), of
 * `Host` (3.2) and of `Transfer-Encoding` (6.1).
 */
function wrongMessage({
  httpVersionMajor,
  httpVersion,
  headers,
  rawHeaders,
}: IncomingMessage): [status: number, error: LockstepError] | null {
  if (httpVersionMajor !== 1) {
    return [505, new LockstepError('INVALID_REQUEST', `The request is of HTTP/${httpVersion}; send it as HTTP/1.1.`)]
  }
  const { 'transfer-encoding': encoding } = headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    const sent = cutText(encoding, 100)
    return [
      501,
      new LockstepError(
        'UNSUPPORTED',
        `The transfer encoding "${sent}" is not taken; send "chunked", and say by "Content-Encoding" how the body is compressed.`,
      ),
    ]
  }
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts < 2 ? null : [400, new LockstepError('INVALID_REQUEST', 'The request has two "Host" headers; send one.')]
}

/**
 * How a request is let in: always, one after the other, or as the admission has it; of those, the shape of its errors.
 */
type Kind = ErrorShape | 'free' | 'paced'

/**
 * Gives a request's place back before its answer is over, where it has one.
 *
 * @param leave what gives it back as that closes
 */
export function leaveEarly(outgoing: ServerResponse, leave: () => void): void {
  if (!outgoing.listeners('close').includes(leave)) return
  outgoing.off('close', leave)
  leave()
}

/** What a request is told that is not let in. */
export const overloaded = new LockstepError(
  'OVERLOADED',
  'The server has more requests than it can answer in time; send this one again later, or run more servers.',
  { details: { overloaded: 'server' } },
)

/** By method and path. */
function kinds(routes: GuardDeps['routes']): (incoming: IncomingMessage) => Kind {
  /** By path, and there by method. */
  const fixed = new Map<string, Map<string, Kind>>()
  const patterns: { readonly method: string; readonly pattern: RegExp; readonly kind: Kind }[] = []
  for (const { method, path, alsoPath, scope, errors, isPaced } of routes) {
    const kind = isPaced === true ? 'paced' : scope === null || scope === 'admin' ? 'free' : (errors ?? 'lockstep')
    for (const each of alsoPath === undefined ? [path] : [path, alsoPath]) {
      if (!each.includes(':')) fixed.set(each, (fixed.get(each) ?? new Map()).set(method, kind))
      else patterns.push({ method, pattern: new RegExp(`^${each.replaceAll(/:[^/]+/g, '[^/]+')}$`), kind })
    }
  }
  return ({ method: sent = '', url = '' }) => {
    if (sent === 'OPTIONS') return 'free'
    const method = sent === 'HEAD' ? 'GET' : sent
    const path = pathOf(url)
    const known = fixed.get(path)?.get(method)
    if (known !== undefined) return known
    return patterns.find((each) => each.method === method && each.pattern.test(path))?.kind ?? 'lockstep'
  }
}
