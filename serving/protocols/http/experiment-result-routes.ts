import { experimentReport } from '../../../monitoring/experiments/experiment-report.ts'
import { jsonAnswer } from './call.ts'
import { experimentResultsAnswer } from './experiment-result-schemas.ts'
import { requestId } from './response-schemas.ts'
import type { Route } from './route.ts'

/** What analyses of experiments found. */
export const experimentResultRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/experiments/:name/results',
    scope: 'read',
    summary: 'What an experiment found: the newest analysis of its running run, or of its last one',
    description: 'Workers analyze each experiment once an hour. The answer is read from what they stored.',
    tag: 'Models',
    answer: experimentResultsAnswer.extend({ requestId }),
    async handle(call, deps) {
      const report = await experimentReport(deps.upkeep.database(), call.params['name'] ?? '')
      return jsonAnswer({ ...report, requestId: call.requestId })
    },
  },
]
