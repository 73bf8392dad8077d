import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

const explainedRow = z.looseObject({
  eventTime: z.string().nullable().describe('When it happened'),
  knownTime: z.string().nullable().describe('When it could first be known'),
  visibleAt: z.string().nullable().describe('From when it counts'),
})

export const explainAnswer = z.looseObject({
  asOf: z.string().describe('The moment that is explained, RFC 3339'),
  prediction: z
    .looseObject({
      id: z.string().describe('Its id'),
      model: z.string().describe('The model'),
      version: z.int().describe('The version that answered'),
      at: z.string().describe('When it was answered, RFC 3339'),
    })
    .optional()
    .describe('The logged prediction, with its `outputs` and `features`, if the request names one'),
  views: z.array(
    z.looseObject({
      view: z.string().describe('The feature view'),
      source: z.string().describe('The source'),
      key: z.record(z.string(), z.unknown()).describe('The key of the entity in this view'),
      rows: z.object({
        visible: z.int().describe('Rows that count at that moment'),
        notYetVisible: z.int().describe('Rows that count later'),
        dropped: z.int().describe('Rows that the transform drops'),
      }),
      notYetVisible: z.array(explainedRow).describe('The rows that become visible first'),
      features: z.array(
        z.looseObject({
          feature: z.string().describe('The name of the feature'),
          value: z.unknown().describe('Its value at that moment'),
          status: z.string().describe('The status of the value'),
          kind: z.enum(['latest', 'window', 'lifetime']).describe('How the value is computed'),
          winner: explainedRow
            .nullable()
            .optional()
            .describe('For a latest value, `min`, `max`, `first` and `last`: the row that it comes from'),
          beaten: z
            .array(explainedRow.extend({ why: z.string().describe('Why the winner beat it') }))
            .optional()
            .describe('The rows that the winner came before, greatest first'),
          span: z
            .object({ from: z.string().describe('Where it begins'), to: z.string().describe('Where it ends') })
            .optional()
            .describe('For a window: the event times that it covers'),
          counted: z.int().optional().describe('The number of rows in the value'),
          newest: z.array(explainedRow).optional().describe('The newest of the counted rows'),
        }),
      ),
    }),
  ),
  requestId,
})
