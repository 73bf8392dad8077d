import { z } from 'zod'
import { chart, moment } from './answer.ts'

const interval = z.object({ value: z.number(), low: z.number(), high: z.number() })

/** `GET /ui/api/experiments/:id/series`: stored results only. */
export const experiment = z.object({
  name: z.string(),
  model: z.string(),
  description: z.string().nullable(),
  state: z.string().describe('running, stopped or decided; "not started"'),
  startedAt: moment.nullable(),
  endedAt: moment.nullable(),
  analyzedAt: moment.nullable(),
  analyses: z.array(moment).describe('Moments that it can be shown as of, oldest first; also those after the moment asked for'),
  method: z.string().describe('How it is analyzed, in words'),
  decision: z.string().nullable().describe('What was decided, by whom and why; null: nothing yet'),
  verdict: z.string().describe('A sentence that a manager can read'),
  variants: z.array(
    z.object({
      variant: z.string(),
      version: z.number().nullable(),
      weight: z.number(),
      units: z.number().nullable().describe('null: it was not analyzed yet'),
      rows: z.number().nullable(),
    }),
  ),
  metrics: z.array(
    z.object({
      metric: z.string(),
      role: z.enum(['primary', 'guardrail', 'secondary']),
      better: z.enum(['higher', 'lower']),
      variant: z.string().describe('Compared with the control'),
      says: z.string(),
      lift: interval.nullable().describe('As a share of the control'),
      difference: interval.nullable(),
      significant: z.boolean(),
      detectable: z.number().nullable().describe('The difference that so many units find in 80 of 100 cases; null: not known'),
      series: chart
        .nullable()
        .describe('The difference with its interval over time, and in grey the interval that is not adjusted for repeated looks'),
    }),
  ),
  health: z.array(z.object({ check: z.string(), state: z.enum(['ok', 'warning', 'failing', 'unknown']), text: z.string() })),
  split: z
    .object({ chart, bound: z.number().describe('From here on, the units are not split as planned') })
    .nullable()
    .describe('The evidence against the planned split of the units, at each analysis; null: none is stored'),
  exposures: chart.describe('New units by day and variant'),
  progress: z
    .object({
      units: z.number(),
      planned: z.number().nullable(),
      immatureShare: z.number(),
      maturesAt: z.object({ first: moment, last: moment }).nullable().optional(),
      unitsByDay: z.number().nullable(),
      daysLeft: z.number().nullable(),
    })
    .nullable(),
})
export type ExperimentData = z.output<typeof experiment>
