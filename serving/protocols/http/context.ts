import type { ServerResponse } from 'node:http'
import type { Actor } from '../../../runtime/audit.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { LimitState } from '../../traffic/rate-limiter.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import type { IncomingRequest } from './incoming-request.ts'

/** A request on its way to its answer. */
export interface Call {
  readonly incoming: IncomingRequest
  readonly outgoing: ServerResponse
  /** When it came, milliseconds of `performance.now()`. */
  readonly startedMs: number
  readonly requestId: string
  /** By name: what stands in the path for `:name`. */
  params: Readonly<Record<string, string>>
  /** The id of the API key; null where none is needed, or it is not known yet. */
  principal: string | null
  /** Those of that key. */
  scopes: readonly Scope[] | null
  /** What tells the request apart, where the client has marked it; else undefined. */
  idempotent: string | undefined
  /** Gives back its place among those of the key; undefined: it has none. */
  leaveKey: (() => void) | undefined
  /** undefined: it may take as long as it does. */
  deadline: RequestDeadline | undefined
  /** undefined: the key has no limit of rows. @throws LockstepError `RATE_LIMITED` */
  takeRows: ((rows: number) => Promise<void>) | undefined
  /** How the limits of the key stand; undefined: it has none. */
  limits: readonly LimitState[] | undefined
}

/** What Hono carries along with a request. */
export interface RequestEnv {
  Bindings: Call
}

/** What a route answers; `app.ts` sends it. */
export interface RouteAnswer {
  readonly status: number
  /** null: none, with a status that has none. */
  readonly body: string | Uint8Array<ArrayBuffer> | null
  /** Absent: JSON. */
  readonly contentType?: string
  /** Beside those of every answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the same object answers other requests, too: what compressing it makes is kept then. */
  readonly kept?: true
}

/** An answer that is given again and again: its bytes are made once. */
export function keptAnswer(text: string, more: Pick<RouteAnswer, 'contentType' | 'headers'> = {}): RouteAnswer {
  return { status: 200, body: new Uint8Array(Buffer.from(text)), ...more, kept: true }
}

export function jsonAnswer(value: unknown, status = 200): RouteAnswer {
  return { status, body: JSON.stringify(value) }
}

/**
 * Who asks, for what is written down: the API key that the request came with, by its id; without keys nobody is known.
 */
export function actorOf({ principal, requestId }: Call, reason?: string): Actor {
  return { actor: principal ?? 'http', reason, requestId }
}
