import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { parseTimestamp } from '../../../kernel/values/time.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { beginBackfill } from '../../../materializer/backfills/backfill.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { readBackfill, readBackfills } from '../../../materializer/backfills/read-backfills.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { processName } from '../../../runtime/process-name.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from '../http/call.ts'
import { momentSchema } from '../../features/request-schema.ts'
import { actorOf, jsonWithoutId } from '../http/call.ts'

const views = z.array(z.string()).max(1000).nullish().describe('The feature views. Default: all online views')

export const materializeSchema = z
  .object({
    start_ts: momentSchema.nullish().describe('The first event time, RFC 3339'),
    end_ts: momentSchema.nullish().describe('The end of the range of event times (exclusive), RFC 3339'),
    feature_views: views,
    disable_event_timestamp: z.boolean().default(false).describe('Whether all rows are used, whatever their event time'),
  })
  .meta({
    anyOf: [
      { required: ['start_ts', 'end_ts'], properties: { start_ts: { type: 'string' }, end_ts: { type: 'string' } } },
      { required: ['disable_event_timestamp'], properties: { disable_event_timestamp: { const: true } } },
    ],
  })
export const incrementalSchema = z.object({
  end_ts: momentSchema.describe('RFC 3339. Checked and ignored: all rows that have arrived are used'),
  feature_views: views,
})
export const materializeAnswer = z.union([
  z.null(),
  z.object({ status: z.literal('accepted'), feature_views: z.array(z.string()) }),
  z.object({ error: z.string(), feature_views: z.array(z.string()) }).describe('With 409'),
])
export const materializeQuery = z.object({
  async: z.enum(['true', 'false']).optional().describe('true: answers 202 at once, and does not wait for the work'),
  force: z.enum(['true', 'false']).optional().describe('true: starts even if the views are already being materialized'),
})
type MaterializeQuery = z.output<typeof materializeQuery>

const thisProcess = processName()
const firstPauseMs = 50
const lastPauseMs = 1000

/** `POST /materialize`: a backfill of each view over the range; with `?async=true` it is not waited for. */
export async function answerMaterialize(
  call: Call,
  deps: ServingContext,
  body: z.output<typeof materializeSchema>,
  query: MaterializeQuery,
): Promise<RouteAnswer> {
  const events = body.disable_event_timestamp ? null : rangeOf(body.start_ts, body.end_ts)
  const plans = plansOf(deps.catalog(), body.feature_views)
  const now = (): number => Date.now() * 1000
  return await begin(call, deps, query, plans, async (plan) => {
    const tools = { db: deps.upkeep.database(), store: deps.upkeep.store(), worker: thisProcess }
    return (await beginBackfill(tools, plan, { events, by: actorOf(call), now })).id
  })
}

/** `POST /materialize-incremental`: brings each view up to what has arrived. */
export async function answerMaterializeIncremental(
  call: Call,
  deps: ServingContext,
  body: z.output<typeof incrementalSchema>,
  query: MaterializeQuery,
): Promise<RouteAnswer> {
  parseTimestamp(body.end_ts)
  const plans = plansOf(deps.catalog(), body.feature_views)
  return await begin(call, deps, query, plans, async (plan) => {
    const { database, store, replayMs } = deps.upkeep
    await materializeView(database(), store(), plan, { replayMs, log: deps.log })
    return null
  })
}

/** @param start starts the work of one view. It returns the backfill to wait for, if any. */
async function begin(
  call: Call,
  deps: ServingContext,
  { async: asked, force }: MaterializeQuery,
  plans: readonly ViewPlan[],
  start: (plan: ViewPlan) => Promise<number | null>,
): Promise<RouteAnswer> {
  const names = plans.map(({ spec }) => spec.name)
  const isAsync = asked === 'true'
  if (isAsync && force !== 'true') {
    const running = await readBackfills(deps.upkeep.database(), { state: 'running' })
    const busy = plans.filter(({ id }) => running.some(({ view }) => view === id)).map(({ spec }) => spec.name)
    if (busy.length > 0) {
      return jsonWithoutId(
        {
          error: `These feature views are already being materialized: ${busy.join(', ')}. Wait, or send ?force=true.`,
          feature_views: busy,
        },
        409,
      )
    }
  }
  const work = (async () => {
    const begun: number[] = []
    for (const plan of plans) {
      const id = await start(plan)
      if (id !== null) begun.push(id)
    }
    return begun
  })()
  if (isAsync) {
    work.catch((error: unknown) => deps.log.error({ requestId: call.requestId, views: names, error }, 'views were not materialized'))
    return jsonWithoutId({ status: 'accepted', feature_views: names }, 202)
  }
  for (const id of await work) await ended(call, deps, id)
  return jsonWithoutId(null)
}

/**
 * Waits for a backfill: until it ends, makes no progress for too long, the client disconnects, or the server shuts
 * down.
 */
async function ended(call: Call, deps: ServingContext, id: number): Promise<void> {
  const connection = call.incoming.socket
  let [doneBefore, sinceMs] = [0, performance.now()]
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, lastPauseMs)) {
    const { state, view, error, chunks, chunksDone } = await readBackfill(deps.upkeep.database(), id)
    if (state === 'done') return
    if (chunksDone > doneBefore) [doneBefore, sinceMs] = [chunksDone, performance.now()]
    if (state === 'running' && performance.now() - sinceMs > deps.idleBackfillMs) {
      throw new LockstepError(
        'NOT_READY',
        `The backfill "${id}" of "${view}" has ${chunksDone} of ${chunks} chunks done, and made no progress for ${deps.idleBackfillMs / 1000} s; check that a "lockstep worker" runs on this database. The backfill continues; GET /v1/jobs/${id} shows it.`,
        { details: { backfill: id, chunks, chunksDone } },
      )
    }
    if (state !== 'running') {
      throw new LockstepError('WRITE_FAILED', `The backfill "${id}" of "${view}" is ${state}: ${error?.message ?? 'it was cancelled'}`)
    }
    if (connection.destroyed)
      throw new LockstepError('REQUEST_ABORTED', `The client has disconnected; the backfill "${id}" of "${view}" continues.`)
    if (deps.closing()) throw new LockstepError('NOT_READY', `The server is shutting down; the backfill "${id}" of "${view}" continues.`)
    await setTimeout(pauseMs)
  }
}

function rangeOf(start: string | null | undefined, end: string | null | undefined): { from: number; to: number } {
  if (typeof start !== 'string' || typeof end !== 'string') {
    throw new LockstepError('INVALID_REQUEST', 'The request lacks "start_ts" or "end_ts"; send both, as 2001-07-01T00:00:00Z.')
  }
  const range = { from: parseTimestamp(start), to: parseTimestamp(end) }
  if (range.from < range.to) return range
  throw new LockstepError('INVALID_REQUEST', `The range from "${start}" to "${end}" is empty; give a later "end_ts".`)
}

/** The named views, or all online views. */
function plansOf(catalog: Catalog, names: readonly string[] | null | undefined): ViewPlan[] {
  if (names === null || names === undefined) return [...catalog.views.values()].filter(({ id }) => catalog.online.has(id))
  return [...new Set(names)].map((name) => {
    const plan = catalog.view(name.replace(/@v(?=\d+$)/i, '@'))
    if (catalog.online.has(plan.id)) return plan
    throw new LockstepError('INVALID_REQUEST', `The view "${plan.id}" is not online; declare it with "online: true" and apply the file.`)
  })
}
