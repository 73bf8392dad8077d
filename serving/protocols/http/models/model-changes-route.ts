import { z } from 'zod'
import { championAlias } from '../../../../registry/models/model-aliases.ts'
import { maxModelEvents } from '../../../../registry/models/model-events.ts'
import { aliasChangeAnswer, modelHistoryAnswer, pinChangeAnswer } from './model-schemas.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { actorOf, changeAnswer, changeStatuses, jsonAnswer, nameInPath } from '../call.ts'
import { versionSchema } from './model-version-schema.ts'
import { reasonSchema as reason } from '../request/change-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { commitWhileConnected } from '../request/client-connection.ts'

const alias = z.string().optional().describe('The alias. Default: champion')

const atOnce = z.boolean().optional().describe('Does not wait until servers have loaded the version: each serves it when it has loaded it')

const datasetMismatch = z
  .boolean()
  .optional()
  .describe('Allows a version that was trained on other features than it is served with. Otherwise that is refused with DATASET_MISMATCH')

const untried = z.boolean().optional().describe('Allows a version whose trial run on made-up rows did not end')

const promoteSchema = z.strictObject({ version: versionSchema, reason, atOnce, datasetMismatch, untried })
const pinSchema = promoteSchema.omit({ datasetMismatch: true })
const rollbackSchema = z.strictObject({ alias, reason })
const historyQuery = z.object({
  limit: z.coerce.number().int().min(1).max(maxModelEvents).optional().describe('The maximum number of changes'),
})
const removeQuery = z.object({ reason })

/** The routes that change which version of a model answers, and list the changes. */
export const modelChangeRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/models/:name/promote',
    scope: 'admin',
    summary: 'Make a version the champion, which answers requests that name no version',
    tag: 'Models',
    body: promoteSchema,
    example: { version: 3, reason: 'better on June' },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(call, deps, { body }) {
      return await promoted(call, deps, championAlias, body)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/models/:name/rollback',
    scope: 'admin',
    summary: 'Restore the previous champion',
    tag: 'Models',
    body: rollbackSchema,
    bodyOptional: true,
    example: { reason: 'errors since noon' },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(call, deps, { body }) {
      const { alias: of = championAlias, reason: why } = body
      return changeAnswer(call, await deps.modelChanges.rollBack(nameInPath(call), of, actorOf(call, why), commitWhileConnected(call)))
    },
  }),
  checkedRoute({
    method: 'PUT',
    path: '/v1/models/:name/aliases/:alias',
    scope: 'admin',
    summary: 'Point an alias to a version',
    tag: 'Models',
    body: promoteSchema,
    example: { version: 4 },
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(call, deps, { body }) {
      return await promoted(call, deps, aliasOf(call), body)
    },
  }),
  checkedRoute({
    method: 'DELETE',
    path: '/v1/models/:name/aliases/:alias',
    scope: 'admin',
    summary: 'Remove an alias',
    tag: 'Models',
    query: removeQuery,
    status: changeStatuses,
    answer: aliasChangeAnswer,
    async handle(call, deps, { query: { reason: why } }) {
      return changeAnswer(
        call,
        await deps.modelChanges.remove(nameInPath(call), aliasOf(call), actorOf(call, why), commitWhileConnected(call)),
      )
    },
  }),
  checkedRoute({
    method: 'PUT',
    path: '/v1/models/:name/pin',
    scope: 'admin',
    summary: 'Pin a model: one version answers all requests that name no version, until the model is unpinned',
    tag: 'Models',
    body: pinSchema,
    example: { version: 2, reason: 'version 3 answers wrongly' },
    status: changeStatuses,
    answer: pinChangeAnswer,
    async handle(call, deps, { body: { version, reason: why, atOnce: now = false, untried: anyway = false } }) {
      const options = { atOnce: now, untried: anyway, ...commitWhileConnected(call) }
      return changeAnswer(call, await deps.modelChanges.pin(nameInPath(call), version, actorOf(call, why), options))
    },
  }),
  checkedRoute({
    method: 'DELETE',
    path: '/v1/models/:name/pin',
    scope: 'admin',
    summary: 'Unpin a model',
    tag: 'Models',
    query: removeQuery,
    status: changeStatuses,
    answer: pinChangeAnswer,
    async handle(call, deps, { query: { reason: why } }) {
      return changeAnswer(call, await deps.modelChanges.unpin(nameInPath(call), actorOf(call, why), commitWhileConnected(call)))
    },
  }),
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/history',
    scope: 'read',
    summary: 'The changes of a model: who, when and why, newest first',
    tag: 'Models',
    query: historyQuery,
    answer: modelHistoryAnswer,
    async handle(call, deps, { query }) {
      const { name } = deps.catalog().model(nameInPath(call))
      const events = await deps.modelChanges.history(name, query.limit)
      return jsonAnswer(call, { model: name, events })
    },
  }),
]

async function promoted(call: Call, deps: ServingContext, to: string, body: z.infer<typeof promoteSchema>): Promise<RouteAnswer> {
  const { version, reason: why, atOnce: now = false, datasetMismatch: meant = false, untried: anyway = false } = body
  const options = { atOnce: now, datasetMismatch: meant, untried: anyway, ...commitWhileConnected(call) }
  return changeAnswer(call, await deps.modelChanges.promote(nameInPath(call), version, to, actorOf(call, why), options))
}

function aliasOf(call: Call): string {
  return call.params['alias'] ?? ''
}
