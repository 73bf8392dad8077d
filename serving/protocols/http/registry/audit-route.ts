import { z } from 'zod'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { maxAuditRecords } from '../../../../runtime/audit.ts'
import { auditAnswer } from './registry-schemas.ts'
import { jsonAnswer } from '../call.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const defaultLimit = 100

const query = z.object({
  since: z.string().optional().describe('Only changes at this time or later'),
  who: z.string().optional().describe('The id or name of an API key, user@host, or only the user'),
  what: z.string().optional().describe('An action, a group of actions such as "model", or the thing that was changed'),
  before: z.coerce.number().int().min(1).optional().describe('Only records older than the one with this id: `next` of the previous answer'),
  limit: z.coerce.number().int().min(1).max(maxAuditRecords).optional().describe(`The maximum number of records. Default: ${defaultLimit}`),
})

export const auditRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/audit',
    scope: 'admin',
    summary: 'Who changed what, newest first',
    tag: 'Audit',
    query,
    answer: auditAnswer,
    async handle(call, deps, { query: { since, limit = defaultLimit, ...filter } }) {
      const from = since === undefined ? undefined : new Date(Math.ceil(parseTimestamp(since) / 1000))
      const records = await deps.audit({ ...filter, since: from, limit })
      const last = records.at(-1)
      return jsonAnswer(call, { records, next: last === undefined || records.length < limit ? null : last.id })
    },
  }),
]
