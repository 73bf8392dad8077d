import { z } from 'zod'
import { pushToken } from '../../../../kernel/push-token.ts'
import { reasonOf } from '../../../../materializer/streams/dead-letters.ts'
import { eventsAnswer } from './event-schemas.ts'
import { readBody } from '../request/body.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { objectSchema } from '../../../features/request-schema.ts'
import { withEventIds } from '../request/idempotent.ts'
import type { Route } from '../route.ts'

/** The most events of one request. */
export const maxEvents = 10_000

const eventsSchema = z.strictObject({
  events: z.array(objectSchema).min(1).max(maxEvents).describe('The events, each an object with a value for every column of the source'),
  to: z.enum(['both', 'online', 'offline']).default('both').describe('Where the events go'),
})

/** The route that takes pushed events. */
export const eventRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/sources/:name/events',
    scope: 'push',
    isHot: true,
    rowsIn: 'events',
    summary: 'Write events to a source, all or none',
    tag: 'Events',
    body: eventsSchema,
    example: { events: [{ airport: 'ATL', at: '2001-06-30T12:00:00Z', delay: 12 }] },
    answer: eventsAnswer,
    handle: (call, deps) => answerEvents(call, deps, nameInPath(call)),
  },
]

/**
 * `POST /v1/sources/{name}/events`: writes events to the source, all or none, and answers when they are committed, and
 * as a rule when the online views have them: `{ "accepted": 2, "duplicates": 0, "online": true, "token":
 * "landings~0+8123" }`.
 */
async function answerEvents(call: Call, deps: ServingContext, name: string): Promise<RouteAnswer> {
  const { push } = deps.metrics
  try {
    const { events, to } = await readBody(call, deps.bodyLimitBytes, eventsSchema)
    const receivedAt = deps.clock()
    const source = deps.catalog().pushSource(name)
    const { accepted, duplicates, xids, online } = await deps.intake.push(source, withEventIds(call, events), {
      to,
      receivedAt,
      span: call.span,
    })
    push.pushed(name, accepted, duplicates)
    return jsonAnswer(call, { source: name, accepted, duplicates, ...(online === null ? {} : { online }), token: pushToken(name, xids) })
  } catch (error) {
    push.rejected(reasonOf(error))
    throw error
  }
}
