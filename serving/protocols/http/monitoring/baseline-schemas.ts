import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

export const baselineOrigin = z
  .union([
    z.object({ kind: z.enum(['training set', 'training predictions']), dataset: z.string() }),
    z.object({ kind: z.literal('served'), from: z.string(), to: z.string() }),
  ])
  .describe('A training set, predictions for its rows, or served rows')

export const baseline = z.object({
  id: z.string().describe('Changes when a part of the baseline is rebuilt'),
  model: z.string().nullable().describe('The model'),
  version: z.int().nullable().describe('The number of the version'),
  origins: z.array(baselineOrigin).describe('The rows that the baseline was made from: those of features, then those of outputs'),
  rows: z.number().describe('The rows that it was made of'),
  sampledRows: z.number().describe('The rows that were counted by value'),
  entities: z.number().describe('Distinct entities among these'),
  effects: z
    .object({
      output: z.string().describe('The output whose change was measured'),
      unit: z.enum(['absolute', 'share']).describe('A mean absolute change, or the share of rows whose output changes'),
      rows: z.number().describe('The rows that it was measured on'),
      from: z.enum(['training set', 'logged predictions']).describe('The kind of these rows'),
      byFeature: z.record(z.string(), z.number()).describe('By feature: how far it moves the output if it is permuted'),
    })
    .nullable()
    .describe('null: not measured yet'),
  columns: z
    .array(
      z.object({
        name: z.string().describe('The feature, or "output:" and the name of the output'),
        type: z.string().describe('The type, such as "float64"'),
        origin: baselineOrigin,
        statuses: z.record(z.string(), z.number()).describe('Rows by status; empty for an output'),
        numbers: z
          .object({
            min: z.number().describe('The least value'),
            max: z.number().describe('The greatest value'),
            mean: z.number().describe('The mean'),
            deviation: z.number().nullable().describe('The standard deviation of a sample'),
            quantiles: z.array(z.number()).describe('At the shares 0.005, 0.015, … 0.995'),
          })
          .nullable()
          .describe('Figures of the finite numbers; null: there are none'),
        entities: z.number().describe('Distinct entities among the counted rows'),
        effectiveEntities: z.number().nullable().describe('So many entities of equal size would weigh as these do'),
        bins: z.array(z.object({ label: z.string().describe('The bin, such as "10 to 20"'), count: z.number().describe('Rows in it') })),
      }),
    )
    .describe('Features, then outputs'),
})

export const baselineAnswer = baseline.extend({ requestId })
