import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { parseBaseline } from '../../../../monitoring/drift/parse-baseline.ts'
import { modelReport } from '../../../../monitoring/report/model-report.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { serverLimits } from './quality-route.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const query = z.object({
  since: durationQuery().describe('The length of the window up to now, such as 24h or 30d. Default: 7d'),
  baseline: z
    .string()
    .optional()
    .describe(
      'What drift is compared with: training, previous:7d, same-hour-yesterday, same-hour-last-week or dataset:ID. Default: training',
    ),
})

const part = z.looseObject({ reason: z.string().nullable().describe('Why the part is missing; null: it is in `value`') })

/** `lockstep report --server` makes its page of it. */
export const reportAnswer = z.looseObject({
  model: z.string().describe('The name of the model'),
  champion: z.int().nullable().describe('The version that serves by default; null: none'),
  from: z.string().describe('RFC 3339'),
  to: z.string().describe('RFC 3339'),
  traffic: z
    .looseObject({
      requests: z.int().describe('Answered and failed'),
      failed: z.int().describe('Failed requests'),
      rows: z.int().describe('The rows of answered requests'),
    })
    .describe('The traffic that servers answered'),
  drift: part.describe('The answer of GET /v1/models/{name}/drift'),
  quality: part.describe('By outcome: by version, by day and by declared slice, as GET /v1/models/{name}/quality answers it'),
  freshness: z.array(z.looseObject({ view: z.string().describe('The feature view') })).describe('The freshness of its online views'),
  alerts: z.array(z.looseObject({ id: z.int().describe('The id of the alert') })).describe('Those that fired in the window'),
})

export const reportRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/report',
    scope: 'read',
    summary: 'All that is known about how a model fared: traffic, quality, drift, freshness, alerts',
    description: 'Figures of quality are of at most as many rows as those of GET /v1/models/{name}/quality.',
    tag: 'Monitoring',
    query,
    answer: reportAnswer.extend({ requestId }),
    async handle(call, deps, { query: { since = '7d', baseline = 'training' } }) {
      const to = Date.now() * 1000
      const from = to - parseDuration(since, 'The parameter "since"')
      liftDeadline(call.deadline)
      const { upkeep } = deps
      // a store that is unavailable throws at once
      const store = async () => await Promise.resolve(upkeep.store())
      const { db, signal } = cancelOnDisconnect(call, upkeep.database())
      const report = await modelReport(
        { db, catalog: deps.catalog(), store },
        { model: nameInPath(call), from, to, baseline: parseBaseline(baseline), limits: serverLimits, signal },
      )
      return jsonAnswer(call, report)
    },
  }),
]
