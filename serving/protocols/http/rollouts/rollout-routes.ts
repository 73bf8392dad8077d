import { z } from 'zod'
import { answeringVersion } from '../../../../registry/models/pick-version.ts'
import { planNames, planSchema } from '../../../../registry/rollouts/plan-schema.ts'
import { actorOf, changeAnswer, changeStatuses, jsonAnswer, nameInPath } from '../call.ts'
import { reasonBody, reasonSchema as reason } from '../request/change-schemas.ts'
import { versionSchema } from '../models/model-version-schema.ts'
import { rolloutAnswer, rolloutChangeAnswer } from './rollout-answers.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { commitWhileConnected } from '../request/client-connection.ts'

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
const changes = { scope: 'admin', tag: 'Models', status: changeStatuses, answer: rolloutChangeAnswer } as const

/** The routes that give a candidate a share of the requests of a model. */
export const rolloutRoutes: readonly Route[] = [
  checkedRoute({
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/rollout',
    summary: 'Start a rollout: a version gets a share of the requests that name no version',
    body: startSchema,
    example: { version: 3, share: 0.05, reason: 'trained on June' },
    async handle(call, deps, { body: { reason: why, ...start } }) {
      const options = { ...commitWhileConnected(call), allowPrivate: deps.privateAddresses }
      return changeAnswer(call, await deps.modelChanges.rollouts.start(nameInPath(call), start, actorOf(call, why), options))
    },
  }),
  checkedRoute({
    ...changes,
    method: 'PUT',
    path: '/v1/models/:name/rollout/share',
    summary: 'Change the share of the running rollout',
    body: shareSchema,
    example: { share: 0.2 },
    async handle(call, deps, { body: { share: to, reason: why } }) {
      return changeAnswer(
        call,
        await deps.modelChanges.rollouts.share(nameInPath(call), to, actorOf(call, why), commitWhileConnected(call)),
      )
    },
  }),
  action('abort', 'End the running rollout: the champion has all requests again', 'more errors'),
  action('promote', 'Make the candidate the champion, and end the rollout', 'as good as before'),
  action('pause', 'Pause the plan of the running rollout: its share stays', 'over the weekend'),
  action('resume', 'Resume the plan of the running rollout, with new evidence'),
  {
    method: 'GET',
    path: '/v1/models/:name/rollout',
    scope: 'read',
    summary: 'The running rollout of a model, or its last one, with its decisions',
    tag: 'Models',
    answer: rolloutAnswer,
    async handle(call, deps) {
      const model = deps.catalog().model(nameInPath(call))
      const { name, pin } = model
      const history = await deps.modelChanges.rollouts.history(name)
      return jsonAnswer(call, { model: name, pinned: pin, serves: answeringVersion(model), ...history })
    },
  },
]

/** A change of the running rollout that needs nothing but its reason. */
function action(name: 'abort' | 'promote' | 'pause' | 'resume', summary: string, exampleReason?: string): Route {
  return checkedRoute({
    ...changes,
    method: 'POST',
    path: `/v1/models/:name/rollout/${name}`,
    summary,
    body: reasonBody,
    bodyOptional: true,
    ...(exampleReason === undefined ? {} : { example: { reason: exampleReason } }),
    async handle(call, deps, { body: { reason: why } }) {
      return changeAnswer(call, await deps.modelChanges.rollouts[name](nameInPath(call), actorOf(call, why), commitWhileConnected(call)))
    },
  })
}
