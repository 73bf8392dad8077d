import { z } from 'zod'
import { chart } from './answer.ts'
import { definition } from './definition.ts'

/** `GET /ui/api/features/:id/stats?from&to` */
export const feature = definition.extend({
  view: z.string(),
  type: z.string(),
  computed: z.string().describe('`mean(delay, 6h)`'),
  distribution: z
    .object({ chart, bins: z.array(z.string()).describe("The name of each bin, by a point's `t`: `missing`, `-50 to -12`") })
    .nullable()
    .describe('Served beside the reference, as shares; null: there is no summary'),
  categories: z
    .array(z.object({ value: z.string(), served: z.number().nullable(), trained: z.number().nullable() }))
    .describe('Of text and booleans: the shares'),
  uses: z
    .array(z.object({ model: z.string(), column: z.string().describe("The feature's name in the service of the model") }))
    .describe('Where models read it'),
  reference: z.enum(['training', 'the first rows served']).describe('What served values are compared with'),
  nulls: chart.describe('The share of each reason over time: NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE'),
  nullsInTraining: z.array(z.object({ reason: z.string(), share: z.number() })),
  drift: z.array(
    z.object({
      model: z.string(),
      column: z.string().describe('As in `uses`: `origin__meanDelay3h`'),
      says: z.string(),
      drifted: z.boolean(),
      since: z.string().nullable().describe('As of a model: `since 2001-06-29`'),
      distance: z.number().nullable(),
      harm: z.number().nullable().describe('How much it moves the predictions'),
    }),
  ),
})
export type FeatureData = z.output<typeof feature>
