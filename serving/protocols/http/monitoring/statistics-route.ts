import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { modelStatistics } from '../../../../monitoring/rollups/model-statistics.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { statisticsAnswer } from './statistics-schemas.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

const statisticsQuery = z.object({
  since: durationQuery().describe('How far back the window begins, such as 30m or 7d. Default: 1h'),
  from: z.string().optional().describe('When it begins, RFC 3339, in place of since'),
  to: z.string().optional().describe('When it ends, RFC 3339. Default: now'),
  version: z.coerce.number().int().min(0).optional().describe('Only this version'),
  by: z
    .enum(['version', 'role', 'version,role', ''])
    .optional()
    .describe('The grouping, and that of the lines of a series. Default: version,role'),
  step: z.enum(['minute', 'hour', 'day']).optional().describe('Adds a series with this step'),
})

export const statisticsRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/statistics',
    scope: 'read',
    summary: 'What servers answered for a model: requests, errors, times and values',
    tag: 'Models',
    query: statisticsQuery,
    answer: statisticsAnswer,
    async handle(call, deps, { query: { since = '1h', from, to, version, by = 'version,role', step } }) {
      const model = deps.catalog().model(nameInPath(call)).name
      const end = to === undefined ? deps.clock() : parseTimestamp(to)
      const begin = from === undefined ? end - parseDuration(since) : parseTimestamp(from)
      if (begin >= end) throw new LockstepError('INVALID_REQUEST', 'The window is empty: "from" must be before "to".')
      const statistics = await modelStatistics(cancelOnDisconnect(call, deps.upkeep.database()).db, {
        model,
        from: begin,
        to: end,
        by: by.split(',').filter((part) => part === 'version' || part === 'role'),
        ...(version === undefined ? {} : { versions: [version] }),
        ...(step === undefined ? {} : { step }),
      })
      return jsonAnswer(call, statistics)
    },
  }),
]
