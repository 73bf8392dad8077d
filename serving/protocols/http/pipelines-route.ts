import { z } from 'zod'
import { pipelineStatus, pipelineStatuses } from '../../streaming/pipeline-status.ts'
import { pausePipeline, resumePipeline } from '../../streaming/pipeline-state.ts'
import type { ServingContext } from '../../context.ts'
import { readBody } from './body.ts'
import type { Call, RouteAnswer } from './call.ts'
import { actorOf, jsonAnswer } from './call.ts'
import { reasonSchema as reason } from './change-schemas.ts'
import { pipelineAnswer, pipelineChangeAnswer, pipelinesAnswer } from './pipeline-schemas.ts'
import type { Route } from './route.ts'

const changeSchema = z.strictObject({ reason })

const change = {
  method: 'POST',
  scope: 'admin',
  tag: 'Pipelines',
  body: changeSchema,
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
      return jsonAnswer({ pipelines: await pipelineStatuses(deps.upkeep.database(), deps.catalog()), requestId: call.requestId })
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
      const pipeline = await pipelineStatus(deps.upkeep.database(), deps.catalog(), call.params['name'] ?? '')
      return jsonAnswer({ pipeline, requestId: call.requestId })
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
