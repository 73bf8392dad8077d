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
      outcomes: z
        .array(
          z.object({
            outcome: z.string(),
            state: z
              .enum(['arrived', 'late', 'not counted', 'waiting', 'none', 'unknown'])
              .describe('not counted: the answer was for a past moment, so no outcome after the answer can be in time'),
            value: z.string().nullable(),
            at: moment.nullable().describe('When it happened'),
            afterSeconds: z.number().nullable().describe('How long after the moment of the prediction; if not counted, after the answer'),
            error: z.string().nullable().describe('How far the prediction is from it'),
            isRight: z.boolean().nullable().describe('Of classes and of yes or no; null: it is neither, or not known'),
            says: z.string(),
          }),
        )
        .describe('Of each outcome that is declared for the model'),
      latencyMs: z.number().nullable().describe('null: no server gave the answer, as it was backfilled'),
      stages: z.array(z.object({ name: z.string(), ms: z.number() })).describe('Of its request, one after the other; none: not measured'),
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
