import { parseDuration } from '../../../../kernel/values/duration.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { qualityReport } from '../../../../monitoring/quality/quality-report.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { qualityAnswer, qualityQuery } from './quality-schemas.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'

/** A server also answers predictions, so it computes with fewer rows than the command. */
export const serverLimits = { total: 100_000, group: 20_000, estimate: 4000, curve: 1000 }

export const qualityRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/models/:name/quality',
    scope: 'read',
    summary: 'Quality of a model: logged predictions compared with what came of them',
    description:
      'Only mature predictions count: those whose outcome can no longer come. Sums are of all rows, AUC and calibration of at most 100,000 (20,000 in a group).',
    tag: 'Models',
    query: qualityQuery,
    answer: qualityAnswer.extend({ requestId }),
    async handle(call, deps, { query: { outcome, since = '7d', by = '', asOf: asOfText } }) {
      const asOf = asOfText === undefined ? deps.clock() : parseTimestamp(asOfText)
      const from = asOf - parseDuration(since, 'The parameter "since"')
      liftDeadline(call.deadline)
      const { db, signal } = cancelOnDisconnect(call, deps.upkeep.database())
      const report = await qualityReport(db, deps.catalog(), {
        model: nameInPath(call),
        outcome,
        from,
        to: asOf,
        asOf,
        by: by.split(',').filter((each) => each !== ''),
        limits: serverLimits,
        signal,
      })
      return jsonAnswer(call, report)
    },
  }),
]
