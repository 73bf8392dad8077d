import { z } from 'zod'
import { chart, link, moment } from './answer.ts'

const figures = z.object({
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  n: z.number().nullable().describe('Of how many rows, requests or the like'),
})

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
      silencedUntil: moment.nullable().describe('By the silences of the requested moment'),
      revision: z.string().describe('What a change of it sends as `If-Match`'),
      says: z.string().describe('Which check of which monitor fired, and for what'),
      cause: z.string().nullable().describe('The likely cause, when it fired'),
      newestCause: z.string().nullable().describe('The likely cause by the newest evaluation; null: the same, or as of a past moment'),
      description: z.string().nullable().describe('Of the monitor'),
      runbook: z.string().nullable().describe('An address'),
      startedAt: moment,
      resolvedAt: moment.nullable(),
      fired: figures.describe('What was measured when it fired'),
      newest: figures.nullable().describe('What was measured last; null: as of a past moment, where it is not recorded'),
      link: link.nullable(),
      model: z.string().nullable().describe('The model that the monitor watches'),
      features: z.array(z.object({ feature: z.string(), view: z.string() })).describe('The features that breach'),
    }),
  ),
  notifications: z
    .array(
      z.object({
        channel: z.string(),
        event: z.string(),
        state: z.enum(['open', 'sent', 'dropped']),
        attempts: z.number().nullable().describe('null: as of a past moment, not recorded'),
        error: z.string().nullable(),
        createdAt: moment,
        endedAt: moment.nullable(),
      }),
    )
    .nullable()
    .describe('What channels were sent of one alert, where its id is asked for'),
  chart: z
    .object({ label: z.string(), chart, bound: z.object({ value: z.number(), name: z.string() }).nullable() })
    .nullable()
    .describe('The figure that one alert is about, over time, where it is stored'),
  monitors: z
    .array(
      z.object({
        name: z.string(),
        watches: z.string(),
        phase: z.enum(['firing', 'pending', 'ok']).nullable().describe('The worst of its results; null: not evaluated yet'),
        says: z.string().describe('The phase, and how many results are unknown'),
        why: z.string().nullable().describe('Why its worst result is not ok; null: all are'),
        everySeconds: z.number(),
        evaluatedAt: moment.nullable().describe('The end of the newest evaluated window'),
      }),
    )
    .nullable()
    .describe('null: of one alert, of a later page, or of a past moment, where they are not recorded'),
  cursor: z.string().nullable(),
})
export type AlertsData = z.output<typeof alerts>
