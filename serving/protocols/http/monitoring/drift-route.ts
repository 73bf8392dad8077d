import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { requireBaseline } from '../../../../monitoring/baselines/baseline.ts'
import { baselineJson } from '../../../../monitoring/baselines/baseline-json.ts'
import { driftJson } from '../../../../monitoring/drift/drift-json.ts'
import { driftReport } from '../../../../monitoring/drift/drift-report.ts'
import { parseBaseline } from '../../../../monitoring/drift/parse-baseline.ts'
import { servedFreshness } from '../../../../monitoring/drift/served-freshness.ts'
import { pickVersion, versionReference } from '../../../../registry/models/pick-version.ts'
import { baselineAnswer } from './baseline-schemas.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { driftAnswer } from './drift-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const query = z.object({
  version: z.string().optional().describe('A version by number or alias. Default: the champion, or the newest if there is none'),
  since: durationQuery().describe('The length of the window up to now, such as 1h or 7d. Default: 24h'),
  baseline: z
    .string()
    .optional()
    .describe('What to compare with: training, previous:7d, same-hour-yesterday, same-hour-last-week or dataset:ID. Default: training'),
})

const baselineQuery = query.pick({ version: true })

export const driftRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/drift',
    scope: 'read',
    summary: 'How served features and outputs differ from a baseline',
    tag: 'Monitoring',
    query,
    answer: driftAnswer,
    async handle(call, context, { query: { version, since = '24h', baseline = 'training' } }) {
      const to = Date.now() * 1000
      const catalog = context.catalog()
      const { db } = cancelOnDisconnect(call, context.upkeep.database())
      const report = await driftReport(
        {
          db,
          catalog,
          freshness: (views) => servedFreshness({ db, catalog, store: context.upkeep.store, now: to }, views),
        },
        {
          model: nameInPath(call),
          window: { from: to - parseDuration(since, 'The parameter "since"'), to },
          baseline: parseBaseline(baseline),
          ...(version === undefined ? {} : { version: versionReference(version) }),
        },
      )
      return jsonAnswer(call, driftJson(report))
    },
  }),
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/baseline',
    scope: 'read',
    summary: 'The distributions that served features and outputs are compared with',
    tag: 'Monitoring',
    query: baselineQuery,
    answer: baselineAnswer,
    async handle(call, context, { query: { version } }) {
      const model = context.catalog().model(nameInPath(call))
      const pushed = pickVersion(model, version === undefined ? undefined : versionReference(version))
      const found = await requireBaseline(context.upkeep.database(), model.name, pushed.version)
      return jsonAnswer(call, baselineJson(found))
    },
  }),
]
