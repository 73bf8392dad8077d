import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { LockstepError } from '../../kernel/errors.ts'
import type { Admission, Admitted } from '../gateway/admission.ts'
import { createArrivalClock } from '../gateway/arrival-clock.ts'
import { timeoutHeader } from '../gateway/request-deadline.ts'
import { traceOf, traceparent } from '../gateway/trace.ts'
import type { Listener } from './app.ts'
import { createCors } from './cors.ts'
import { shapedError } from './error-answer.ts'
import type { IncomingRequest } from './incoming-request.ts'
import { pathOf } from './path-of.ts'
import { requestIdOf } from './request-id.ts'
import type { ErrorShape, Route } from './route.ts'

export interface GuardDeps {
  readonly admission: Admission
  readonly routes: readonly Pick<Route, 'method' | 'path' | 'alsoPath' | 'scope' | 'errors'>[]
  /** Of requests that do not say, milliseconds; null: none. */
  readonly requestTimeoutMs: number | null
  readonly corsOrigins: readonly string[]
  /** Whether the server is shutting down. */
  readonly closing: () => boolean
}

/**
 * Lets requests in as the admission has it, before anything is made of them, so that a refusal is cheap: 503 with `retry-after`. What is open to all (health, metrics, `OPTIONS`),
 * and what an admin asks for, passes always.
 */
export function guarded(
  listener: Listener,
  { admission, routes, requestTimeoutMs, corsOrigins, closing }: GuardDeps,
): RequestListener<typeof IncomingRequest> {
  const kindOf = kinds(routes)
  const cors = createCors(corsOrigins)
  const arrival = createArrivalClock()

  /** A class, as each request makes one: functions made for each would cost more. */
  class Arrival implements Admitted {
    readonly deadline: number
    readonly #incoming: IncomingRequest
    readonly #outgoing: ServerResponse
    readonly #kind: ErrorShape
    readonly #at: number

    constructor(incoming: IncomingRequest, outgoing: ServerResponse, kind: ErrorShape) {
      this.#incoming = incoming
      this.#outgoing = outgoing
      this.#kind = kind
      this.#at = admission.isBusy ? arrival() : performance.now()
      this.deadline = this.#at + (Number(incoming.headers[timeoutHeader]) || requestTimeoutMs || Number.POSITIVE_INFINITY)
    }

    run(): void {
      // whoever waited for it may have gone
      if (this.#outgoing.destroyed) return admission.leave()
      this.#outgoing.on('close', admission.leave)
      listener(this.#incoming, this.#outgoing, this.#at)
    }

    refuse(): void {
      if (this.#outgoing.destroyed) return
      const { headers: sent } = this.#incoming
      const requestId = requestIdOf(sent['x-request-id'])
      const body = JSON.stringify(shapedError(overloaded, this.#kind, requestId))
      const headers: Record<string, string> = {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        'x-request-id': requestId,
        'retry-after': '1',
      }
      const { origin, traceparent: parent } = sent
      if (origin !== undefined) cors.allow(origin, headers)
      if (parent !== undefined) headers['traceparent'] = traceparent(traceOf(parent))
      if (closing()) headers['connection'] = 'close'
      this.#outgoing.writeHead(503, headers)
      this.#outgoing.end(body)
    }
  }

  return (incoming, outgoing) => {
    const kind = kindOf(incoming)
    if (kind === 'free') listener(incoming, outgoing, performance.now())
    else admission.enter(new Arrival(incoming, outgoing, kind))
  }
}

/** What a request is told that is not let in. */
export const overloaded = new LockstepError(
  'OVERLOADED',
  'The server has more requests than it can answer in time; send this one again later, or run more servers.',
  { details: { overloaded: 'server' } },
)

/** By method and path: whether a request passes always, else how its errors are told. */
function kinds(routes: GuardDeps['routes']): (incoming: IncomingMessage) => ErrorShape | 'free' {
  /** By path, and there by method. */
  const fixed = new Map<string, Map<string, ErrorShape | 'free'>>()
  const patterns: { readonly method: string; readonly pattern: RegExp; readonly kind: ErrorShape | 'free' }[] = []
  for (const { method, path, alsoPath, scope, errors } of routes) {
    const kind = scope === null || scope === 'admin' ? 'free' : (errors ?? 'lockstep')
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
