import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { costReport } from '../../../../monitoring/cost/cost-report.ts'
import { jsonAnswer } from '../call.ts'
import { durationQuery } from '../request/check-query.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const query = z.object({ since: durationQuery().describe('How far back requests are counted, such as 1d or 30d. Default: 7d') })

/** What `lockstep cost` prints. */
export const costFields = z.object({
  from: z.string().describe('The begin of the window, RFC 3339'),
  to: z.string().describe('Its end, RFC 3339'),
  measuredMinutes: z.int().describe('Minutes of the window in which a server was measured'),
  cpuSeconds: z.number().describe('Processor time of all server processes, for whatever they did'),
  models: z
    .array(
      z.object({
        model: z.string().describe('The name of the model'),
        requests: z.int().describe('Answered and failed requests'),
        rows: z.int().describe('Rows of answered requests'),
        cacheHits: z.int().describe('Rows that the prediction cache answered'),
        cpuSeconds: z.number().describe('Its part of the processor time, estimated by the time that its requests took without waiting'),
        cpuMicrosPerRow: z.number().nullable().describe('Microseconds; null: no row was answered'),
        versions: z.int().describe('Pushed versions'),
        fileBytes: z.int().describe('Their files in the database'),
      }),
    )
    .describe('By processor time, the greatest first'),
  views: z
    .array(
      z.object({
        view: z.string().describe('Its name and version'),
        states: z.int().nullable().describe('Entities in the online store; null: unknown, or the view is not online'),
        bytes: z.int().nullable().describe('What these take, with their keys'),
        rows: z.int().describe('Rows of predictions that read it in the window'),
        answersSeen: z.int().describe('Answers from it that were looked at, those of feature reads too: one read in 16'),
        models: z.array(z.string()).describe('Models with a version that reads it'),
        services: z.array(z.string()).describe('Services that read it'),
      }),
    )
    .describe('By bytes, the greatest first'),
  online: z
    .object({
      sampledKeys: z.int().nullable().describe('From how many keys sizes are estimated; null: they are of all keys'),
      failure: z.string().nullable().describe('Why there are no sizes; null: there are'),
    })
    .describe('How the online store was looked at'),
  tables: z
    .array(z.object({ table: z.string().describe('Its name'), bytes: z.int().describe('With indexes') }))
    .describe('Tables of sources and of Lockstep, the greatest first'),
  unused: z
    .array(
      z.object({
        kind: z.enum(['model', 'view']).describe('What it is'),
        name: z.string().describe('Its name; of a view with its version'),
        why: z.string().describe('Why it counts as unused'),
      }),
    )
    .describe('What nothing used in the window'),
})

export const costRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/cost',
    scope: 'admin',
    summary: 'What models, views and tables cost, and what nothing uses',
    tag: 'Monitoring',
    query,
    answer: costFields.extend({ requestId }),
    async handle(call, { upkeep, catalog, clock }, { query: { since = '7d' } }) {
      const to = clock()
      const { db } = cancelOnDisconnect(call, upkeep.database())
      const window = { from: to - parseDuration(since, 'The parameter "since"'), to }
      return jsonAnswer(call, await costReport({ db, catalog: catalog(), store: upkeep.store }, window))
    },
  }),
]
