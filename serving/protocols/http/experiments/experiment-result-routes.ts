import { z } from 'zod'
import { experimentReport } from '../../../../monitoring/experiments/experiment-report.ts'
import { decideExperiment } from '../../../../registry/experiments/decide-experiment.ts'
import { commitWhileConnected } from '../request/client-connection.ts'
import { actorOf, jsonAnswer, nameInPath } from '../call.ts'
import { experimentDecisionAnswer, experimentResultsAnswer } from './experiment-result-schemas.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const decideSchema = z.strictObject({
  variant: z.string().describe('The variant that is taken'),
  reason: z.string().min(1).describe('Why, for the record and the audit log'),
})

/** The routes for the results of experiments. */
export const experimentResultRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/experiments/:name/results',
    scope: 'read',
    summary: 'What an experiment found: the newest analysis of its running run, or of its last one',
    description: 'Workers analyze each experiment once an hour. The answer is read from what they stored.',
    tag: 'Experiments',
    answer: experimentResultsAnswer.extend({ requestId }),
    async handle(call, deps) {
      const report = await experimentReport(deps.upkeep.database(), nameInPath(call))
      return jsonAnswer(call, report)
    },
  },
  checkedRoute({
    method: 'POST',
    path: '/v1/experiments/:name/decide',
    scope: 'admin',
    summary: 'Record which variant of an experiment is taken, and why',
    description: 'A running experiment is stopped. The decision keeps the newest analysis as its evidence.',
    tag: 'Experiments',
    body: decideSchema,
    example: { variant: 'treatment', reason: 'more revenue, guardrails pass' },
    answer: experimentDecisionAnswer.extend({ requestId }),
    async handle(call, deps, { body: { variant, reason } }) {
      const change = await decideExperiment(
        deps.upkeep.database(),
        nameInPath(call),
        variant,
        actorOf(call, reason),
        commitWhileConnected(call),
      )
      return jsonAnswer(call, change)
    },
  }),
]
