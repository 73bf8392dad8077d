import type { z } from 'zod'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'

/** How errors are told: Lockstep's own way, or as the protocol has it that a route speaks. */
export type ErrorShape = 'lockstep' | 'oip' | 'feast'

/** One operation of the HTTP interface, as data: what `app.ts` routes to and what the OpenAPI document describes. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PUT'
  /** As Hono has it: `/v1/models/:name`. */
  readonly path: string
  /** A second path, which the documentation leaves out. */
  readonly alsoPath?: string
  /** null: open to all, as it tells nothing of anyone's data. */
  readonly scope: Scope | null
  /**
   * Whether its answer is long and the same for all: such are answered one after the other, apart from all other
   * requests, so that they take little from those.
   */
  readonly isPaced?: true
  /** A sentence without its full stop. */
  readonly summary: string
  /** More for the documentation, in Markdown's plain paragraphs. */
  readonly description?: string
  /** The group in the documentation. */
  readonly tag: string
  /** Of the JSON body. The handler validates by the same schema (`readBody`). */
  readonly body?: z.ZodType
  /** Whether a request may have none. */
  readonly bodyOptional?: true
  /** A body that could be sent. */
  readonly example?: unknown
  /** Of the JSON answer. */
  readonly answer?: z.ZodType
  /** The media type of answers that are not JSON. */
  readonly produces?: string
  /** Of an answer that is no error; the statuses, where it has several. Default: 200. */
  readonly status?: number | readonly number[]
  readonly query?: z.ZodObject
  /** Default: lockstep. */
  readonly errors?: ErrorShape
  handle(call: Call, deps: ServingContext): RouteAnswer | Promise<RouteAnswer>
}
