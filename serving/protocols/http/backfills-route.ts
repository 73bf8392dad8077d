import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { parseTimestamp } from '../../../kernel/time.ts'
import { backfillAnswer, backfillsAnswer } from './response-schemas.ts'
import { readBody } from './body.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from './context.ts'
import { actorOf, jsonAnswer } from './context.ts'
import { momentSchema, nameSchema } from '../../features/request-schema.ts'
import type { Route } from './route.ts'

const schema = z
  .strictObject({
    view: nameSchema.describe('The feature view: a name, or a name and version such as airport_delays@1'),
    from: momentSchema.optional().describe('The first event time, RFC 3339. Send it with "to", or neither for all rows'),
    to: momentSchema.optional().describe('The event time before which it ends, RFC 3339'),
    chunks: z.int().min(1).max(10_000).optional().describe('In how many parts workers share it. Default: as the range needs'),
  })
  .meta({ dependentRequired: { from: ['to'], to: ['from'] } })

/** Backfills: what begins, shows and cancels them. */
export const backfillRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/backfills',
    scope: 'read',
    summary: 'The newest backfills, the running ones first',
    tag: 'Backfills',
    answer: backfillsAnswer,
    handle: answerBackfills,
  },
  {
    method: 'POST',
    path: '/v1/backfills',
    scope: 'admin',
    summary: 'Begin a backfill, or join the one of the same view and range that is running',
    tag: 'Backfills',
    body: schema,
    example: { view: 'airport_delays', from: '2001-01-01T00:00:00Z', to: '2001-02-01T00:00:00Z' },
    status: 202,
    answer: backfillAnswer,
    handle: answerBeginBackfill,
  },
  {
    method: 'GET',
    path: '/v1/backfills/:id',
    scope: 'read',
    summary: 'One backfill',
    tag: 'Backfills',
    answer: backfillAnswer,
    handle: (call, deps) => answerBackfill(call, deps, call.params['id'] ?? ''),
  },
  {
    method: 'DELETE',
    path: '/v1/backfills/:id',
    scope: 'admin',
    summary: 'Cancel a backfill',
    tag: 'Backfills',
    answer: backfillAnswer,
    handle: (call, deps) => answerCancelBackfill(call, deps, call.params['id'] ?? ''),
  },
]

/** `GET /v1/backfills` */
async function answerBackfills(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  return jsonAnswer({ backfills: await deps.backfills.list(), requestId: call.requestId })
}

/** `GET /v1/backfills/{id}` */
async function answerBackfill(call: Call, deps: ServingContext, id: string): Promise<RouteAnswer> {
  return jsonAnswer({ ...(await deps.backfills.get(idOf(id))), requestId: call.requestId })
}

/** `POST /v1/backfills`: begins one, or joins the one of the same view and range that is running. */
async function answerBeginBackfill(call: Call, deps: ServingContext): Promise<RouteAnswer> {
  const { view, from, to, chunks } = await readBody(call, deps.bodyLimitBytes, schema)
  const catalog = deps.catalog()
  const plan = catalog.view(view)
  if (!catalog.online.has(plan.id)) {
    throw new LockstepError('INVALID_REQUEST', `The view "${plan.id}" is not online; declare it with "online: true" and apply the file.`)
  }
  const begun = await deps.backfills.begin(plan, { events: eventsOf(from, to), chunks, by: actorOf(call) })
  return jsonAnswer({ ...begun, requestId: call.requestId }, 202)
}

/** `DELETE /v1/backfills/{id}`: cancels it. */
async function answerCancelBackfill(call: Call, deps: ServingContext, id: string): Promise<RouteAnswer> {
  return jsonAnswer({ ...(await deps.backfills.cancel(idOf(id), actorOf(call))), requestId: call.requestId })
}

function eventsOf(from: string | undefined, to: string | undefined): { from: number; to: number } | null {
  if (from === undefined && to === undefined) return null
  if (from === undefined || to === undefined) {
    const lacking = from === undefined ? 'from' : 'to'
    throw new LockstepError('INVALID_TIME', `"${lacking}" is missing: send both "from" and "to", or neither for all that there is.`)
  }
  const events = { from: parseTimestamp(from), to: parseTimestamp(to) }
  if (events.from < events.to) return events
  throw new LockstepError('INVALID_REQUEST', `The range from "${from}" to "${to}" is empty; give a later "to".`)
}

function idOf(text: string): number {
  const id = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (id > 0) return id
  throw new LockstepError('NOT_FOUND', `There is no backfill "${text}"; GET /v1/backfills lists them.`, { details: { id: text } })
}
