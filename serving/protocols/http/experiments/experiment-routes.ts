import { z } from 'zod'
import { startExperiment, stopExperiment } from '../../../../registry/experiments/change-experiment.ts'
import type { ExperimentChange } from '../../../../registry/experiments/change-experiment.ts'
import { listExperiments } from '../../../../registry/experiments/list-experiments.ts'
import type { ServingContext } from '../../../context.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { actorOf, changeAnswer, changeStatuses, jsonAnswer, nameInPath } from '../call.ts'
import { reasonBody, reasonSchema as reason } from '../request/change-schemas.ts'
import { experimentChangeAnswer, experimentsAnswer } from './experiment-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { commitWhileConnected } from '../request/client-connection.ts'

const startSchema = z.strictObject({
  reason,
  datasetMismatch: z.boolean().optional().describe('Allows versions that were trained on other features than they are served with'),
})
const changes = { scope: 'admin', tag: 'Experiments', status: changeStatuses, answer: experimentChangeAnswer, bodyOptional: true } as const

/** The routes that list, start and stop experiments. */
export const experimentRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/experiments',
    scope: 'read',
    summary: 'All experiments with their states',
    tag: 'Experiments',
    answer: experimentsAnswer,
    async handle(call, deps) {
      return jsonAnswer(call, { experiments: await listExperiments(deps.upkeep.database().kysely, deps.catalog()) })
    },
  },
  checkedRoute({
    ...changes,
    method: 'POST',
    path: '/v1/experiments/:name/start',
    summary: 'Start an experiment: its units get its variants',
    body: startSchema,
    example: { reason: 'version 7 has the new weather features' },
    async handle(call, deps, { body: { reason: why, ...start } }) {
      const change = await startExperiment(deps.upkeep.database(), nameInPath(call), start, actorOf(call, why), commitWhileConnected(call))
      return await changed(call, deps, change)
    },
  }),
  checkedRoute({
    ...changes,
    method: 'POST',
    path: '/v1/experiments/:name/stop',
    summary: 'Stop an experiment: its units are routed as all others',
    body: reasonBody,
    example: { reason: 'the planned units are there' },
    async handle(call, deps, { body: { reason: why } }) {
      return await changed(
        call,
        deps,
        await stopExperiment(deps.upkeep.database(), nameInPath(call), actorOf(call, why), commitWhileConnected(call)),
      )
    },
  }),
]

async function changed(call: Call, { reachRevision }: ServingContext, change: ExperimentChange): Promise<RouteAnswer> {
  return changeAnswer(call, { ...change, inForce: await reachRevision(change.revision) })
}
