import { z } from 'zod'
import { onUnavailable } from './fallback-policy.ts'

/** The largest number of entities in one request: their features are computed in one turn of the event loop. */
export const maxEntities = 10_000

/** An object whose members the parser of the service checks, naming the entity: zod would visit each member here. */
export const objectSchema = z.unknown().meta({ type: 'object', additionalProperties: true })

export const entitiesSchema = z
  .array(objectSchema)
  .min(1)
  .max(maxEntities)
  .describe('The entities, each an object with its key columns and the request data of the service')

/** A time in RFC 3339. The pattern, for documentation, allows the years 1700 to 2199. */
export const momentSchema = z.string().meta({ format: 'date-time', pattern: String.raw`^(1[7-9]|2[01])\d\d-` })

export const asOfSchema = z
  .union([momentSchema, z.number()])
  .optional()
  .describe('The moment of all values, RFC 3339 or epoch microseconds. Default: now')

/** A token of a push. The pattern, for documentation, matches `landings~0+8123`. */
const tokenSchema = z.string().meta({ pattern: String.raw`^.+~\d+(\+\d+(\.\.\d+)?(,\d+(\.\.\d+)?)*)?$` })

export const afterSchema = z
  .union([tokenSchema.transform((token) => [token]), z.array(tokenSchema).max(100)])
  .optional()
  .describe('Tokens of pushes: the answer waits until it includes their events')

export const onUnavailableSchema = z
  .enum(onUnavailable)
  .optional()
  .describe('What to answer while the online store is down: an error, stale values, or defaults. The last two are flagged')

/** A definition by its name, with `@` and a version where one is meant. */
export const nameSchema = z.string().min(1)
