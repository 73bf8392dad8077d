import { z } from 'zod'
import { link, moment } from './answer.ts'

/** `GET /ui/api/alerts`: those that fire, then the newest of the past. */
export const alerts = z.object({
  alerts: z.array(
    z.object({
      id: z.string(),
      monitor: z.string(),
      check: z.string().describe('The kind of check'),
      subject: z.string(),
      severity: z.enum(['page', 'ticket']),
      state: z.enum(['firing', 'resolved']),
      silencedUntil: moment.nullable(),
      says: z.string().describe('Which check of which monitor fired, and for what'),
      cause: z.string().nullable(),
      runbook: z.string().nullable().describe('An address'),
      startedAt: moment,
      resolvedAt: moment.nullable(),
      value: z.number().nullable(),
      threshold: z.number().nullable(),
      n: z.number().nullable(),
      link: link.nullable(),
    }),
  ),
  cursor: z.string().nullable(),
})
export type AlertsData = z.output<typeof alerts>
