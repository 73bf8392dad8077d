import { z } from 'zod'
import { causeKinds } from '../../../../monitoring/drift/drift-types.ts'
import { baselineOrigin } from './baseline-schemas.ts'
import { requestId } from '../response/response-schemas.ts'

const window = z.object({ from: z.string().describe('RFC 3339'), to: z.string().describe('RFC 3339, not included') })
const both = (what: string) => ({
  baseline: z.number().describe(`Of the baseline: ${what}`),
  window: z.number().describe(`Of the window: ${what}`),
})
const shares = both('the share of rows')

const column = z.object({
  column: z.string().describe('The feature, or "output:" and the name of the output'),
  kind: z.enum(['feature', 'output']).describe('A feature or an output'),
  type: z.string().describe('The type, such as "float64"'),
  drifted: z.boolean().describe('Whether adjustedP is below alpha and effect at least minPsi'),
  adjustedP: z.number().nullable().describe('The p-value, adjusted over all columns (Benjamini and Hochberg); null: not tested'),
  effect: z.number().nullable().describe('The PSI above what chance gives'),
  harm: z
    .number()
    .nullable()
    .describe(
      'Of a feature: how far it moves the prediction if it is permuted, times the share of rows that changed bins. Of an output: how far its mean moved',
    ),
  mean: z.object({
    baseline: z.number().nullable().describe('The mean of the baseline; null for categories'),
    window: z.number().nullable().describe('The mean of the window; null for categories'),
  }),
  newCategories: z.array(z.string()).describe('Categories that the baseline does not name, most frequent first'),
  untested: z.string().nullable().describe('Why there is no p-value'),
  causes: z
    .array(z.object({ kind: z.enum(causeKinds).describe('The possible cause'), text: z.string().describe('The evidence') }))
    .describe('Likely causes with their evidence, the likeliest first'),
  rows: z.object(both('rows that were counted by value')).describe('Rows that were counted by value'),
  missing: z
    .object({
      baseline: shares.baseline.nullable().describe('Of the baseline; null: it has no rows'),
      window: shares.window.nullable().describe('Of the window; null: it has no rows'),
      reasons: z.array(z.object({ status: z.string().describe('The status, such as "NOT_FOUND"'), ...shares })),
    })
    .describe('The share of rows without a value, and of each status'),
  outOfRange: z
    .object({ below: z.number(), above: z.number() })
    .nullable()
    .describe('For numbers: the share of rows outside of the range of the baseline'),
  otherCategories: z
    .object(shares)
    .nullable()
    .describe('For categories: the share of rows with a category that the baseline does not have'),
  distances: z
    .object({
      psi: z.number(),
      jensenShannon: z.number(),
      hellinger: z.number(),
      totalVariation: z.number(),
      kolmogorovSmirnov: z.number().nullable().describe('On bins: a lower bound'),
      wasserstein: z.number().nullable().describe('On bins, over the standard deviation of the baseline'),
    })
    .nullable()
    .describe('How far both sides are apart; null if one has no rows'),
  test: z
    .object({
      chiSquared: z.number().nullable(),
      degrees: z.number().nullable(),
      p: z.number().nullable(),
      reason: z.string().nullable(),
      psiByChance: z.number().describe('The mean PSI without drift, at these sizes'),
      entities: z.object(both('entities of equal size')).describe('So many entities of equal size would weigh as these do'),
    })
    .nullable()
    .describe('The chi-squared test, corrected for rows that depend on each other'),
  bins: z.array(z.object({ label: z.string().describe('The bin, such as "10 to 20"'), ...shares })),
})

export const driftReport = z.object({
  model: z.string().describe('The model'),
  version: z.int().describe('The number of the version'),
  window,
  baseline: z.object({
    kind: z
      .enum(['training', 'previous', 'same-hour-yesterday', 'same-hour-last-week', 'dataset'])
      .describe('What the window is compared with'),
    origins: z.array(baselineOrigin).describe('The rows that the baseline was made from: those of features, then those of outputs'),
    window: window.nullable().describe('The earlier window; null for a training set'),
    rows: z.number().describe('The rows that it was made of'),
  }),
  rows: z.number().describe('The rows that were served'),
  sampledRows: z.number().describe('The rows whose values were counted'),
  gaps: z.array(window).describe('Stretches of the window that were not measured'),
  alpha: z.number().describe('The greatest adjusted p-value of a drift'),
  minPsi: z.number().describe('The least effect of a drift'),
  effects: z
    .object({
      output: z.string(),
      unit: z.enum(['absolute', 'share']),
      rows: z.number(),
      from: z.enum(['training set', 'logged predictions']),
    })
    .nullable()
    .describe('The measurement behind the harm'),
  drifted: z.array(z.string()).describe('The names of the columns that drifted'),
  columns: z.array(column).describe('Features by harm, then outputs'),
  notes: z.array(z.string()).describe('The limits of the report, one sentence each'),
})

export const driftAnswer = driftReport.extend({ requestId })
