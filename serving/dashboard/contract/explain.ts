import { z } from 'zod'
import { moment } from './answer.ts'

const step = z.object({
  t: z.number().describe('From when it holds, epoch milliseconds'),
  value: z.string().nullable().describe('As text'),
  number: z.number().nullable().describe('The value, where it is a number'),
  status: z.string(),
  rows: z.array(z.number()).describe('The rows in the value: indexes of `rows`'),
  from: z.number().nullable().describe('Where the window begins'),
})

/** `GET /ui/api/explain?service&entity&from&to`: a window of time, so that moving the moment within it asks nothing. */
export const explain = z.object({
  name: z.string().describe('A service or a view'),
  entity: z.string().describe('As JSON'),
  from: z.number().describe('Epoch milliseconds, as all times here'),
  to: z.number(),
  at: z.number().describe('The moment to show first'),
  views: z.array(
    z.object({
      view: z.string(),
      source: z.string(),
      rows: z.array(
        z.object({
          event: z.number().describe('When it happened'),
          known: z.number().describe('When it could first be known'),
          visible: z.number().describe('From when it counts'),
          values: z.record(z.string(), z.string().nullable()).describe('By column'),
        }),
      ),
      cut: z.number().describe('How many rows of the window are left out'),
      sql: z.string().describe('A query of the newest rows of the entity'),
      features: z.array(
        z.object({ feature: z.string(), type: z.string(), kind: z.enum(['latest', 'window', 'lifetime']), steps: z.array(step) }),
      ),
    }),
  ),
  served: z
    .array(
      z.object({
        t: z.number(),
        predictionId: z.string(),
        model: z.string(),
        features: z.record(z.string(), z.object({ value: z.string().nullable(), status: z.string() })),
      }),
    )
    .describe('What was answered in the window, by the prediction log'),
  differences: z
    .array(z.object({ t: z.number(), feature: z.string(), trained: z.string().nullable(), served: z.string().nullable(), why: z.string() }))
    .describe('Where a served value is not the one of training, in words'),
})
export type ExplainData = z.output<typeof explain>

/** `GET /ui/api/explain/start`: what can be explained, with an entity of each. */
export const explainStart = z.object({
  names: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(['service', 'view']),
      keys: z.array(z.string()),
      example: z.string().nullable().describe('As JSON'),
    }),
  ),
  recent: z.array(
    z.object({
      predictionId: z.string(),
      at: moment.describe('When it was answered'),
      asOf: moment.describe('The moment that the answer holds for'),
      model: z.string(),
      service: z.string(),
      entity: z.string(),
      outputs: z.record(z.string(), z.string().nullable()),
    }),
  ),
})
export type ExplainStart = z.output<typeof explainStart>
