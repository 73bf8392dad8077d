import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { beginBackfill } from '../../../../materializer/backfills/backfill.ts'
import { backfillJson, readBackfill } from '../../../../materializer/backfills/read-backfills.ts'
import { backfillAnswer } from './job-schemas.ts'
import { reasonSchema } from '../request/change-schemas.ts'
import { processName } from '../../../../runtime/process-name.ts'
import { actorOf, jsonAnswer } from '../call.ts'
import { momentSchema, nameSchema } from '../../../features/request-schema.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const schema = z
  .strictObject({
    view: nameSchema.describe('The feature view: a name, or a name and version such as airport_delays@1'),
    from: momentSchema.optional().describe('The first event time, RFC 3339. Send "from" and "to", or neither for all rows'),
    to: momentSchema.optional().describe('The end of the range of event times (exclusive), RFC 3339'),
    chunks: z.int().min(1).max(10_000).optional().describe('The number of chunks that workers share. Default: depends on the range'),
    reason: reasonSchema,
  })
  .meta({ dependentRequired: { from: ['to'], to: ['from'] } })

/** The route that begins a backfill. `/v1/jobs` shows it and cancels it. */
export const backfillRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/backfills',
    scope: 'admin',
    summary: 'Start a backfill, or join the running one of the same view and range',
    tag: 'Jobs',
    body: schema,
    example: { view: 'airport_delays', from: '2001-01-01T00:00:00Z', to: '2001-02-01T00:00:00Z' },
    status: 202,
    answer: backfillAnswer,
    async handle(call, deps, { body: { view, from, to, chunks, reason } }) {
      const catalog = deps.catalog()
      const plan = catalog.view(view)
      if (!catalog.online.has(plan.id)) {
        throw new LockstepError(
          'INVALID_REQUEST',
          `The view "${plan.id}" is not online; declare it with "online: true" and apply the file.`,
        )
      }
      const db = deps.upkeep.database()
      const { id, joined } = await beginBackfill({ db, store: deps.upkeep.store(), worker: processName() }, plan, {
        events: eventsOf(from, to),
        chunks,
        by: actorOf(call, reason),
        now: () => Date.now() * 1000,
      })
      return jsonAnswer(call, { ...backfillJson(await readBackfill(db, id)), joined }, 202)
    },
  }),
]

function eventsOf(from: string | undefined, to: string | undefined): { from: number; to: number } | null {
  if (from === undefined && to === undefined) return null
  if (from === undefined || to === undefined) {
    const lacking = from === undefined ? 'from' : 'to'
    throw new LockstepError('INVALID_TIME', `"${lacking}" is missing: send both "from" and "to", or neither for all rows.`)
  }
  const events = { from: parseTimestamp(from), to: parseTimestamp(to) }
  if (events.from < events.to) return events
  throw new LockstepError('INVALID_REQUEST', `The range from "${from}" to "${to}" is empty; give a later "to".`)
}
