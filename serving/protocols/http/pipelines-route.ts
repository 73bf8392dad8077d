import { z } from 'zod'
import { pipelineStatuses } from '../../streaming/pipeline-status.ts'
import { pausePipeline, resumePipeline } from '../../streaming/pipeline-state.ts'
import type { ServingContext } from '../../context.ts'
import { readBody } from './body.ts'
import type { Call, RouteAnswer } from './call.ts'
import { actorOf, jsonAnswer } from './call.ts'
import { reasonSchema as reason } from './change-schemas.ts'
import { requestId } from './response-schemas.ts'
import type { Route } from './route.ts'

const changeSchema = z.strictObject({ reason })

const pipeline = z.object({
  name: z.string().describe('The name of the pipeline'),
  source: z.string().describe('The source whose stream it reads'),
  model: z.string().describe('The model that predicts'),
  version: z.union([z.int(), z.string()]).nullable().describe('A version or an alias; null: each message is routed'),
  reads: z.string().nullable().describe('The stream; null: the source has none any more'),
  group: z.string().nullable().describe('The consumer group'),
  writesTo: z.string().describe('Where answers go'),
  guarantee: z.string().nullable().describe('How often an answer is written'),
  ledger: z.boolean().describe('Whether answers are kept in PostgreSQL'),
  paused: z.boolean().describe('Whether workers leave it alone'),
  replays: z.int().describe('How often it was replayed'),
  replayedAt: z.string().nullable().describe('When it was last replayed'),
  replayedFrom: z.string().nullable().describe('The time or position that the last replay began with'),
  deadLetters: z.int().describe('How many of its messages are dead letters'),
})

const changeAnswer = z.object({
  pipeline: z.string().describe('The name of the pipeline'),
  paused: z.boolean().describe('Whether it is paused'),
  changed: z.boolean().describe('False: it was so before'),
  requestId,
})

const change = {
  method: 'POST',
  scope: 'admin',
  tag: 'Pipelines',
  body: changeSchema,
  bodyOptional: true,
  example: { reason: 'the receiver is being repaired' },
  answer: changeAnswer,
} as const

/** The routes that show pipelines, pause and resume them. */
export const pipelineRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/pipelines',
    scope: 'read',
    summary: 'The pipelines, and whether they run',
    tag: 'Pipelines',
    answer: z.object({ pipelines: z.array(pipeline).describe('By name'), requestId }),
    async handle(call, deps) {
      return jsonAnswer({ pipelines: await pipelineStatuses(deps.upkeep.database(), deps.catalog()), requestId: call.requestId })
    },
  },
  {
    ...change,
    path: '/v1/pipelines/:name/pause',
    summary: 'Pause a pipeline on all workers',
    handle: (call, deps) => changed(call, deps, true),
  },
  {
    ...change,
    path: '/v1/pipelines/:name/resume',
    summary: 'Resume a paused pipeline',
    handle: (call, deps) => changed(call, deps, false),
  },
]

async function changed(call: Call, deps: ServingContext, paused: boolean): Promise<RouteAnswer> {
  const { reason: why } = await readBody(call, deps.bodyLimitBytes, changeSchema, {})
  const { name } = deps.catalog().pipeline(call.params['name'] ?? '').spec
  const set = paused ? pausePipeline : resumePipeline
  const isChanged = await set(deps.upkeep.database(), name, actorOf(call, why))
  return jsonAnswer({ pipeline: name, paused, changed: isChanged, requestId: call.requestId })
}
