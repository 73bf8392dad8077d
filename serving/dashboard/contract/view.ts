import { z } from 'zod'
import { chart, moment } from './answer.ts'
import { definition } from './definition.ts'

/** `GET /ui/api/views/:id` */
export const view = definition.extend({
  online: z.boolean(),
  state: z.enum(['fresh', 'ready', 'late', 'unknown', 'offline']),
  says: z.string().describe('How fresh it is, in a sentence'),
  lastRun: moment.nullable(),
  nextRun: moment.nullable(),
  lacksWorker: z.boolean().describe('Whether no worker is connected that would begin the next run'),
})
export type ViewData = z.output<typeof view>

/** `GET /ui/api/views/:id/freshness`: from the event to the answer. */
export const freshness = z.object({
  finding: z.string().describe('How long rows take to an online state, in a sentence'),
  boundSeconds: z.number().nullable().describe('As declared'),
  stages: z
    .array(z.object({ name: z.string(), p50: z.number().nullable(), p99: z.number().nullable(), says: z.string().nullable() }))
    .describe('Seconds, one after the other: event to known, known to ingested, ingested to materialized, materialized to served'),
  waits: z
    .array(
      z.object({ name: z.string(), seconds: z.number().nullable(), of: z.string().nullable().describe('Of how many it is the median') }),
    )
    .describe('How long rows wait, in other ways'),
  served: chart.describe('The age of served values over time'),
})
export type FreshnessData = z.output<typeof freshness>
