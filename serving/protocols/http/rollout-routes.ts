import { z } from 'zod'
import { answeringVersion } from '../../../registry/pick-version.ts'
import { planSchema } from '../../../registry/rollouts/plan-schema.ts'
import { planNames } from '../../../registry/rollouts/named-plans.ts'
import type { TakenRolloutChange } from '../../models/model-changes.ts'
import { readBody } from './body.ts'
import type { Call, RouteAnswer } from './call.ts'
import { actorOf, jsonAnswer } from './call.ts'
import { reasonSchema as reason } from './change-schemas.ts'
import { versionSchema } from './model-version-schema.ts'
import { rolloutAnswer, rolloutChangeAnswer } from './rollout-answers.ts'
import type { Route } from './route.ts'
import { whileAwaited } from './while-awaited.ts'

const share = z.number().min(0).max(1).describe('The share of the units that get the candidate, from 0 to 1')
const startSchema = z.strictObject({
  version: versionSchema,
  share: share.optional(),
  plan: z
    .union([z.enum(planNames), planSchema])
    .optional()
    .describe('The steps and gates by which a controller changes the share, or the name of a plan. Absent: the share is changed by hand'),
  unit: z
    .string()
    .optional()
    .describe('The field of the entities that decides which version a row gets, or request-id. Default: the first key column'),
  reason,
  datasetMismatch: z.boolean().optional().describe('Allows a version that was trained on other features than it is served with'),
})
const shareSchema = z.strictObject({ share, reason })
const endSchema = z.strictObject({ reason })
/** 202: the change is made, and not in force on this server yet. */
const status = [200, 202]
const changes = { scope: 'admin', tag: 'Models', status, answer: rolloutChangeAnswer } as const

/** The routes that give a candidate a share of the requests of a model. */
export const rolloutRoutes: readonly Route[] = [
  {
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout',
    summary: 'Start a rollout: a version gets a share of the requests that name no version',
    body: startSchema,
    example: { version: 3, share: 0.05, reason: 'trained on June' },
    async handle(call, deps) {
      const { reason: why, ...start } = await readBody(call, deps.bodyLimitBytes, startSchema)
      const options = { ...whileAwaited(call), allowPrivate: deps.privateAddresses }
      return changed(call, await deps.modelChanges.rollouts.start(nameOf(call), start, actorOf(call, why), options))
    },
  },
  {
    ...changes,
    method: 'PUT',
    path: '/v1/models/:name/rollout/share',
    summary: 'Change the share of the running rollout',
    body: shareSchema,
    example: { share: 0.2 },
    async handle(call, deps) {
      const { share: to, reason: why } = await readBody(call, deps.bodyLimitBytes, shareSchema)
      return changed(call, await deps.modelChanges.rollouts.share(nameOf(call), to, actorOf(call, why), whileAwaited(call)))
    },
  },
  {
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout/abort',
    summary: 'End the running rollout: the champion has all requests again',
    body: endSchema,
    bodyOptional: true,
    example: { reason: 'more errors' },
    async handle(call, deps) {
      const { reason: why } = await readBody(call, deps.bodyLimitBytes, endSchema, {})
      return changed(call, await deps.modelChanges.rollouts.abort(nameOf(call), actorOf(call, why), whileAwaited(call)))
    },
  },
  {
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout/promote',
    summary: 'Make the candidate the champion, and end the rollout',
    body: endSchema,
    bodyOptional: true,
    example: { reason: 'as good as before' },
    async handle(call, deps) {
      const { reason: why } = await readBody(call, deps.bodyLimitBytes, endSchema, {})
      return changed(call, await deps.modelChanges.rollouts.promote(nameOf(call), actorOf(call, why), whileAwaited(call)))
    },
  },
  {
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout/pause',
    summary: 'Pause the plan of the running rollout: its share stays',
    body: endSchema,
    bodyOptional: true,
    example: { reason: 'over the weekend' },
    async handle(call, deps) {
      const { reason: why } = await readBody(call, deps.bodyLimitBytes, endSchema, {})
      return changed(call, await deps.modelChanges.rollouts.pause(nameOf(call), actorOf(call, why), whileAwaited(call)))
    },
  },
  {
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout/resume',
    summary: 'Resume the plan of the running rollout, with new evidence',
    body: endSchema,
    bodyOptional: true,
    async handle(call, deps) {
      const { reason: why } = await readBody(call, deps.bodyLimitBytes, endSchema, {})
      return changed(call, await deps.modelChanges.rollouts.resume(nameOf(call), actorOf(call, why), whileAwaited(call)))
    },
  },
  {
    method: 'GET',
    path: '/v1/models/:name/rollout',
    scope: 'read',
    summary: 'The running rollout of a model, or its last one, with its decisions',
    tag: 'Models',
    answer: rolloutAnswer,
    async handle(call, deps) {
      const model = deps.catalog().model(nameOf(call))
      const { name, pin } = model
      const history = await deps.modelChanges.rollouts.history(name)
      return jsonAnswer({ model: name, pinned: pin, serves: answeringVersion(model), ...history, requestId: call.requestId })
    },
  },
]

function changed(call: Call, change: TakenRolloutChange): RouteAnswer {
  return jsonAnswer({ ...change, requestId: call.requestId }, change.inForce ? 200 : 202)
}

function nameOf(call: Call): string {
  return call.params['name'] ?? ''
}
