import type { z } from 'zod'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './call.ts'

/** The shape of errors: Lockstep's own, or that of the protocol that a route speaks. */
export type ErrorShape = 'lockstep' | 'oip' | 'feast'

/** One operation of the HTTP interface, as data: `app.ts` routes to it, and the OpenAPI document describes it. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH'
  /** As Hono has it: `/v1/models/:name`. */
  readonly path: string
  /** A second path, which the documentation omits. */
  readonly alsoPath?: string
  /** null: the route needs no key, because it shows no data. */
  readonly scope: Scope | null
  /** Whether its answer is long and the same for all: these are answered one after the other, apart from all others. */
  readonly isPaced?: true
  /** Whether pages of other origins may never use it, whatever the settings say. */
  readonly isOwnOrigin?: true
  /** Whether its requests are matched before Hono, which costs less (`app.ts`). */
  readonly isHot?: true
  /**
   * The field of the body that has the rows, which count for the limit of an API key: an array, or an object of
   * columns.
   */
  readonly rowsIn?: 'entities' | 'events' | 'outcomes' | 'df'
  /** Whether tensors in binary may follow the JSON of requests and answers. */
  readonly takesBinary?: true
  /** Whether the handler reads the body in parts: bytes of any type and size. */
  readonly isStreamed?: true
  /** A sentence without its full stop. */
  readonly summary: string
  /** More for the documentation, in Markdown's plain paragraphs. */
  readonly description?: string
  /** The group in the documentation. */
  readonly tag: string
  /** The schema of the JSON body. The handler reads the body by it (`checkedRoute`, `readBody`). */
  readonly body?: z.ZodType
  /** The maximum size of a body. Default: that of the server. */
  readonly bodyLimitBytes?: number
  /** Whether a request may have no body. */
  readonly bodyOptional?: true
  /** An example of a body. */
  readonly example?: unknown
  /** The schema of the JSON answer. */
  readonly answer?: z.ZodType
  /** The media type that answers have in place of JSON, where the client prefers it (`tableTypeFor`). */
  readonly alsoProduces?: string
  /** The media type of answers that are not JSON. */
  readonly produces?: string
  /** The status of an answer that is no error, or its statuses. Default: 200. */
  readonly status?: number | readonly number[]
  /** The schema of the query, for a `checkedRoute`: it reads the query before its handler. */
  readonly query?: z.ZodObject
  /** Default: lockstep. */
  readonly errors?: ErrorShape
  handle(call: Call, deps: ServingContext): RouteAnswer | Promise<RouteAnswer>
}
