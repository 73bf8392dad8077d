import { z } from 'zod'
import { moment } from './answer.ts'

const answered = z.object({ value: z.string().nullable(), status: z.string() })

/** `GET /ui/api/receipts/:requestId`: a request id or a prediction id. */
export const receipt = z.object({
  requestId: z.string(),
  predictions: z.array(
    z.object({
      predictionId: z.string(),
      at: moment,
      asOf: moment,
      entity: z.string().describe('As JSON'),
      model: z.string(),
      version: z.number(),
      service: z.string(),
      role: z.string(),
      experiment: z.object({ name: z.string(), variant: z.string() }).nullable(),
      outputs: z.record(z.string(), z.string().nullable()),
      outcome: z.string().describe('Which outcomes it waits for, and until when'),
      latencyMs: z.number().nullable(),
      stages: z.array(z.object({ name: z.string(), ms: z.number() })),
      features: z.array(
        answered.extend({
          feature: z.string(),
          view: z.string().nullable(),
          eventTime: moment.nullable(),
          recomputed: answered.nullable().describe('As of then, from history'),
          isSame: z.boolean().nullable(),
        }),
      ),
      recomputed: z.string().nullable().describe('Whether the same comes out again, in a sentence'),
    }),
  ),
})
export type ReceiptData = z.output<typeof receipt>
