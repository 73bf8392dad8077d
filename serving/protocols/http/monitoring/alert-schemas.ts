import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

const result = z
  .looseObject({
    state: z.enum(['ok', 'breach', 'unknown']).describe('The result of the check'),
    cause: z.string().nullable().describe('The likely cause'),
  })
  .describe('The newest result')
const alertFields = {
  id: z.int().describe('The id of the alert'),
  monitor: z.string().describe('Its monitor; a default one has a colon in its name'),
  check: z.string().describe('The kind of check'),
  subject: z.string().describe('The subject of the check: a view, a model or a feature'),
  severity: z.enum(['page', 'ticket']).describe('page: now; ticket: in working hours'),
  state: z.enum(['firing', 'resolved']).describe('Whether it still fires'),
  resolution: z.enum(['cleared', 'removed']).nullable().describe('removed: its monitor, check or subject is gone; null: it fires'),
  notified: z.boolean().describe('Whether its channels are notified; false: it is silenced'),
  silencedUntil: z.string().nullable().describe('When its silence ends; null: it is not silenced'),
  description: z.string().nullable().describe('The description of the monitor'),
  runbook: z.string().nullable().describe('The URL of a page that says what to do'),
  startedAt: z.string().describe('When it fired'),
  resolvedAt: z.string().nullable().describe('When it was resolved; null: it fires'),
  cause: z.string().nullable().describe('The likely cause, as it fired'),
  value: z.number().nullable().describe('The newest value that was compared with the threshold'),
  threshold: z.number().nullable().describe('The threshold'),
  n: z.number().nullable().describe('How many rows, requests or steps the value is of'),
  evidence: z.unknown().describe('The facts behind it, as it fired'),
  latest: result,
}

export const alertsAnswer = z.object({ alerts: z.array(z.object(alertFields)), requestId })
export const alertAnswer = z.object({
  ...alertFields,
  deliveries: z
    .array(
      z.object({
        channel: z.string().describe('The channel'),
        event: z.string().describe('firing or resolved'),
        state: z.enum(['open', 'sent', 'dropped']).describe('open: it is still to be sent'),
        attempts: z.int().describe('How often it was tried'),
        error: z.string().nullable().describe('Why the last attempt failed'),
        createdAt: z.string().describe('When it was written down'),
        endedAt: z.string().nullable().describe('When it was sent or dropped'),
      }),
    )
    .describe('Its notifications, in their order'),
  requestId,
})
export type AlertAnswer = Omit<z.output<typeof alertAnswer>, 'requestId'>
