import { z } from 'zod'
import { shadowReport } from '../../../../monitoring/shadow/shadow-report.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { actorOf, changeAnswer, changeStatuses, jsonAnswer, nameInPath } from '../call.ts'
import { reasonBody, reasonSchema as reason } from '../request/change-schemas.ts'
import { versionSchema } from '../models/model-version-schema.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { shadowChangeAnswer, shadowReportAnswer } from './shadow-schemas.ts'
import { cancelOnDisconnect, commitWhileConnected } from '../request/client-connection.ts'

const startSchema = z.strictObject({
  version: versionSchema,
  share: z.number().min(0).max(1).describe('The share of the units that the version runs too, from 0 to 1'),
  unit: z
    .string()
    .optional()
    .describe('The field of the entities that decides which rows it runs, or request-id. Default: the first key column'),
  tolerance: z.number().min(0).optional().describe('Outputs that differ by more are counted. Default: 0.01'),
  reason,
})
const changes = { scope: 'admin', tag: 'Models', status: changeStatuses, answer: shadowChangeAnswer } as const
/** A server also answers predictions, so it compares fewer pairs than the command. */
const maxPairs = 2000

/** The routes that run a version beside the one that answers, and compare them. */
export const shadowRoutes: readonly Route[] = [
  checkedRoute({
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/shadow',
    summary: 'Start a shadow: a version also runs a share of the requests, after they are answered',
    body: startSchema,
    example: { version: 3, share: 0.2, reason: 'trained on June' },
    async handle(call, deps, { body: { reason: why, ...start } }) {
      return changeAnswer(
        call,
        await deps.modelChanges.shadows.start(nameInPath(call), start, actorOf(call, why), commitWhileConnected(call)),
      )
    },
  }),
  checkedRoute({
    ...changes,
    method: 'POST',
    path: '/v1/models/:name/shadow/stop',
    summary: 'Stop the running shadow',
    body: reasonBody,
    bodyOptional: true,
    example: { reason: 'seen enough' },
    async handle(call, deps, { body: { reason: why } }) {
      return changeAnswer(call, await deps.modelChanges.shadows.stop(nameInPath(call), actorOf(call, why), commitWhileConnected(call)))
    },
  }),
  {
    method: 'GET',
    path: '/v1/models/:name/shadow',
    scope: 'read',
    summary: 'How the running shadow of a model, or its last one, differs from what answered',
    tag: 'Models',
    answer: shadowReportAnswer,
    async handle(call, deps) {
      const catalog = deps.catalog()
      const { name } = catalog.model(nameInPath(call))
      liftDeadline(call.deadline)
      const report = await shadowReport(cancelOnDisconnect(call, deps.upkeep.database()).db, catalog, {
        model: name,
        now: deps.clock(),
        maxPairs,
      })
      return jsonAnswer(call, report)
    },
  },
]
