import type { ServerResponse } from 'node:http'
import type { LockstepError } from '../../../kernel/errors.ts'
import type { Actor } from '../../../runtime/audit.ts'
import type { AuthorizedRequest } from '../../traffic/authorize.ts'
import type { Span } from '../../../runtime/tracing/span.ts'
import type { Place } from '../../traffic/place.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import type { Trace } from '../../traffic/trace.ts'
import type { IncomingRequest } from './request/incoming-request.ts'
import type { Route } from './route.ts'

/** A request over HTTP on its way through the stages. */
export interface Call extends AuthorizedRequest {
  readonly incoming: IncomingRequest
  readonly outgoing: ServerResponse
  readonly route: Route
  /** By name: the values of `:name` in the path. */
  readonly params: Readonly<Record<string, string>>
  /** When it arrived, milliseconds of `performance.now()`. */
  readonly startedMs: number
  readonly requestId: string
  /** The caller's trace, where it sent one, or the trace of `span`. */
  readonly trace: Trace | null
  /** undefined: it is not recorded. */
  readonly span: Span | undefined
  /** undefined: it may take as long as it does. */
  readonly deadline: RequestDeadline | undefined
  readonly place: Place
  /** The id of its API key; null: it has none. */
  readonly principal: string | null
  /** Identifies the request where its client sent an `Idempotency-Key`; else undefined. */
  idempotent: string | undefined
}

/** The answer of a route; `send-response.ts` sends it. */
export interface RouteAnswer {
  readonly status: number
  /** null: none, with a status that has none. */
  readonly body: string | Uint8Array<ArrayBuffer> | null
  /** Bytes of a file in place of a body, sent as the client reads them. The headers have their length and type. */
  readonly file?: FileRange
  /** Absent: JSON. */
  readonly contentType?: string
  /** Besides those of every answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the same object answers other requests too: then it is compressed once. */
  readonly kept?: true
}

export interface FileRange {
  readonly path: string
  /** The offset of the first byte. */
  readonly start: number
  /** The number of bytes. */
  readonly length: number
}

/** An answer that is given many times: its bytes are made once. */
export function keptAnswer(text: string, more: Pick<RouteAnswer, 'contentType' | 'headers'> = {}): RouteAnswer {
  return { status: 200, body: new Uint8Array(Buffer.from(text)), ...more, kept: true }
}

/** The fields and, last, the id of the request, which answers of Lockstep's own interface have. */
export function jsonAnswer(
  { requestId }: Pick<Call, 'requestId'>,
  fields: object,
  status = 200,
  headers?: RouteAnswer['headers'],
): RouteAnswer {
  return { status, body: JSON.stringify({ ...fields, requestId }), ...(headers === undefined ? {} : { headers }) }
}

/** For health, the dashboard, and protocols of others. */
export function jsonWithoutId(value: unknown, status = 200): RouteAnswer {
  return { status, body: JSON.stringify(value) }
}

/** The definition that the path names. */
export function nameInPath({ params }: Pick<Call, 'params'>): string {
  return params['name'] ?? ''
}

/** The number in the path. @param missing the error for a text that is no id */
export function idInPath({ params }: Pick<Call, 'params'>, missing: (id: string) => LockstepError): number {
  const text = params['id'] ?? ''
  const id = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (id > 0) return id
  throw missing(text)
}

/** 202: the change is made, and not in force on this server yet. */
export const changeStatuses = [200, 202]

export function changeAnswer(call: Call, change: { readonly inForce: boolean }): RouteAnswer {
  return jsonAnswer(call, change, change.inForce ? 200 : 202)
}

/** The author of a change, for the audit log: the API key of the request by its id. Without keys it is unknown. */
export function actorOf({ principal, requestId }: Call, reason?: string): Actor {
  return { actor: principal ?? 'http', reason, requestId }
}
