import { z } from 'zod'
import {
  alertJson,
  deliveryJson,
  maxListedAlerts,
  noAlert,
  readAlert,
  readAlerts,
  readDeliveries,
} from '../../../../monitoring/alerts/read-alerts.ts'
import { silenceAlert, silenceMicros, unsilenceAlert } from '../../../../monitoring/alerts/silences.ts'
import type { ServingContext } from '../../../context.ts'
import { alertAnswer, alertsAnswer } from './alert-schemas.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { actorOf, idInPath, jsonAnswer } from '../call.ts'
import { reasonBody, reasonSchema } from '../request/change-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const alertsQuery = z.object({
  state: z.enum(['firing', 'resolved']).optional().describe('Only alerts in this state'),
  monitor: z.string().optional().describe('Only alerts of this monitor'),
  severity: z.enum(['page', 'ticket']).optional().describe('Only alerts of this severity'),
  limit: z.coerce.number().int().min(1).max(maxListedAlerts).optional().describe('The maximum number. Default: 100'),
})
const silenceBody = z.strictObject({
  for: z.string().describe('How long, such as 2h; at most 30d'),
  reason: reasonSchema,
})

export const alertRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/alerts',
    scope: 'read',
    summary: 'The alerts of monitors, firing ones first',
    tag: 'Alerts',
    query: alertsQuery,
    answer: alertsAnswer,
    async handle(call, deps, { query }) {
      const alerts = await readAlerts(deps.upkeep.database(), query)
      return jsonAnswer(call, { alerts: alerts.map(alertJson) })
    },
  }),
  {
    method: 'GET',
    path: '/v1/alerts/:id',
    scope: 'read',
    summary: 'One alert, its evidence and its notifications',
    tag: 'Alerts',
    answer: alertAnswer,
    handle: (call, deps) => answerAlert(call, deps, idInPath(call, noAlert)),
  },
  checkedRoute({
    method: 'POST',
    path: '/v1/alerts/:id/silence',
    scope: 'admin',
    summary: 'Send no notifications of an alert for a while',
    tag: 'Alerts',
    body: silenceBody,
    example: { for: '2h', reason: 'known, being fixed' },
    answer: alertAnswer,
    async handle(call, deps, { body }) {
      const id = idInPath(call, noAlert)
      await silenceAlert(deps.upkeep.database(), id, silenceMicros(body.for), actorOf(call, body.reason))
      return await answerAlert(call, deps, id)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/alerts/:id/unsilence',
    scope: 'admin',
    summary: 'End the silence of an alert',
    tag: 'Alerts',
    body: reasonBody,
    bodyOptional: true,
    example: { reason: 'it is fixed' },
    answer: alertAnswer,
    async handle(call, deps, { body }) {
      const id = idInPath(call, noAlert)
      await unsilenceAlert(deps.upkeep.database(), id, actorOf(call, body.reason))
      return await answerAlert(call, deps, id)
    },
  }),
]

async function answerAlert(call: Call, deps: ServingContext, id: number): Promise<RouteAnswer> {
  const db = deps.upkeep.database()
  const [alert, deliveries] = [await readAlert(db, id), await readDeliveries(db, id)]
  return jsonAnswer(call, { ...alertJson(alert), deliveries: deliveries.map(deliveryJson) })
}
