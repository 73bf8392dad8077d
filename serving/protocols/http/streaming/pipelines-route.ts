import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { activityOf } from '../../../streaming/read-pipeline-minutes.ts'
import { pipelineStatus, pipelineStatuses } from '../../../streaming/pipeline-status.ts'
import type { ReplayStart } from '../../../streaming/pipeline-state.ts'
import { pausePipeline, replayPipeline, resumePipeline } from '../../../streaming/pipeline-state.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { actorOf, jsonAnswer, nameInPath } from '../call.ts'
import { reasonBody, reasonSchema as reason } from '../request/change-schemas.ts'
import { pipelineAnswer, pipelineChangeAnswer, pipelineReplayAnswer, pipelinesAnswer } from './pipeline-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const replaySchema = z
  .strictObject({
    from: z.string().optional().describe('Begin with the first message that arrived at this time or later, RFC 3339'),
    position: z
      .string()
      .optional()
      .describe('Begin with this message: the id of an entry of Redis, a sequence of JetStream, or offsets of Kafka, as in 0:1234,1:99'),
    reason,
  })
  .meta({ oneOf: [{ required: ['from'] }, { required: ['position'] }] })

const change = {
  method: 'POST',
  scope: 'admin',
  tag: 'Pipelines',
  body: reasonBody,
  bodyOptional: true,
  example: { reason: 'the receiver is being repaired' },
  answer: pipelineChangeAnswer,
} as const

/** The routes that show pipelines, pause and resume them. */
export const pipelineRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/pipelines',
    scope: 'read',
    summary: 'The pipelines, and whether they run',
    tag: 'Pipelines',
    answer: pipelinesAnswer,
    async handle(call, deps) {
      return jsonAnswer(call, { pipelines: await pipelineStatuses(deps.upkeep.database(), deps.catalog()) })
    },
  },
  {
    method: 'GET',
    path: '/v1/pipelines/:name',
    scope: 'read',
    summary: 'A pipeline, and whether it runs',
    tag: 'Pipelines',
    answer: pipelineAnswer,
    async handle(call, deps) {
      const db = deps.upkeep.database()
      const pipeline = await pipelineStatus(db, deps.catalog(), nameInPath(call))
      const activity = await activityOf(db, pipeline.name, deps.clock())
      return jsonAnswer(call, { pipeline, activity })
    },
  },
  checkedRoute({
    ...change,
    path: '/v1/pipelines/:name/pause',
    summary: 'Pause a pipeline on all workers',
    handle: (call, deps, { body }) => changed(call, deps, true, body.reason),
  }),
  checkedRoute({
    ...change,
    path: '/v1/pipelines/:name/resume',
    summary: 'Resume a paused pipeline',
    handle: (call, deps, { body }) => changed(call, deps, false, body.reason),
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/pipelines/:name/replay',
    scope: 'admin',
    summary: 'Let a pipeline read its stream again, from a time or a position',
    description: 'Messages are predicted by the present model and features, and their answers written again under the ids that they had.',
    tag: 'Pipelines',
    body: replaySchema,
    example: { from: '2026-03-01T12:00:00Z', reason: 'the model was wrong' },
    answer: pipelineReplayAnswer,
    async handle(call, deps, { body: { reason: why, ...given } }) {
      const start = startOf(given)
      const catalog = deps.catalog()
      const { spec } = catalog.pipeline(nameInPath(call))
      const { database, streams } = deps.upkeep
      const replays = await replayPipeline(database(), streams, catalog, spec, start, actorOf(call, why))
      const from = given.from ?? given.position
      return jsonAnswer(call, { pipeline: spec.name, from, replays })
    },
  }),
]

/** @throws LockstepError `INVALID_REQUEST`, `INVALID_TIME` */
function startOf({ from, position }: Pick<z.output<typeof replaySchema>, 'from' | 'position'>): ReplayStart {
  if (position !== undefined && from === undefined) return { position }
  if (from !== undefined && position === undefined) return { atMicros: parseTimestamp(from) }
  throw new LockstepError('INVALID_REQUEST', 'Say where the replay begins: send either "from" or "position".')
}

async function changed(call: Call, deps: ServingContext, paused: boolean, why: string | undefined): Promise<RouteAnswer> {
  const { name } = deps.catalog().pipeline(nameInPath(call)).spec
  const set = paused ? pausePipeline : resumePipeline
  const isChanged = await set(deps.upkeep.database(), name, actorOf(call, why))
  return jsonAnswer(call, { pipeline: name, paused, changed: isChanged })
}
