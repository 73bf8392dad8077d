import { z } from 'zod'
import { durationQuery } from '../request/check-query.ts'

/** What `GET /v1/models/{name}/quality` takes and answers; `lockstep quality --server` reads it. */

const figure = z.object({
  value: z.number().nullable().describe('null: see `reason`'),
  low: z.number().nullable().describe('The 95 % interval'),
  high: z.number().nullable().describe('The upper limit of the interval'),
  n: z.int().describe('The predictions behind it'),
  reason: z.string().nullable().describe('Why there is no value'),
  interval: z
    .enum(['entities', 'rows'])
    .describe('entities: rows of one entity may depend on each other. rows: all rows are taken for independent'),
})
const figures = z.record(z.string(), figure).describe('By name')
const share = z.number()

const calibration = z.object({
  error: figure.describe('The root of the mean squared difference of probability and share of positives, without the bias of small bins'),
  expected: share.describe('The expected calibration error (ECE) over bins of equal mass; biased upwards'),
  bins: z.int(),
  curve: z
    .object({
      miscalibration: z.number().describe('Brier score = miscalibration - discrimination + uncertainty'),
      discrimination: z.number(),
      uncertainty: z.number(),
      steps: z.array(z.object({ from: share, to: share, share, low: share, high: share, rows: z.int() })),
      n: z.int(),
    })
    .nullable()
    .describe('The CORP reliability curve with a 90 % consistency band; null where there are more than 20 groups'),
})

const group = z.object({
  by: z.record(z.string(), z.string()).describe('By name of the split: the label'),
  predictions: z.int().describe('Logged predictions'),
  judged: z.int().describe('Mature predictions with an outcome: figures are of them'),
  assumed: z.int().describe('How many of these have no row of the outcome, so they get its `missing`'),
  immature: z.int().describe('Predictions whose outcome may still come'),
  withoutOutcome: z.int().describe('Mature predictions without an outcome'),
  unreadable: z.int().describe('An output or outcome that cannot be compared, such as NaN'),
  entities: z.int().nullable().describe('null: more than are kept apart'),
  figures,
  business: z
    .record(
      z.string(),
      figure.extend({
        total: z.number().describe('The sum over the predictions behind it'),
        assumed: z.int().describe('How many of these have no row of the outcome, so they count as 0'),
      }),
    )
    .describe('The business figures of the outcome, by name: the mean for each judged prediction'),
  calibration: calibration.nullable().describe('Only for probabilities'),
})

const estimate = z.object({
  version: z.int().describe('The number of the version'),
  n: z.int().describe('Predictions that are not mature'),
  labelled: z.int().describe('Mature predictions that calibrate scores'),
  figures: figures.nullable().describe('accuracy, precision, recall, f1 and auc; null: see `reason`'),
  reliable: z.boolean().nullable().describe('false: the newest labels differ from what scores meant before; null: too few labels'),
  reason: z.string().nullable().describe('Why there are no figures, or why they are not reliable'),
  check: z
    .object({
      p: share,
      effect: share,
      estimated: share.describe('The accuracy that earlier labels let expect'),
      observed: share,
      difference: z.object({ value: z.number(), low: z.number(), high: z.number(), n: z.int() }),
      drifted: z.boolean(),
      rows: z.int(),
    })
    .nullable()
    .describe('The newest labels, compared with the expectation from earlier ones'),
})

export const qualityAnswer = z.object({
  model: z.string().describe('The name of the model'),
  outcome: z.string().describe('The name of the outcome'),
  kind: z.enum(['binary', 'number', 'category']).describe('The kind of the outcome, which decides the figures'),
  output: z.string().describe('The output that the outcome judges'),
  threshold: share.nullable().describe('The least score of a positive decision; null: the outcome is not yes or no'),
  from: z.string().describe('Predictions logged from then on, RFC 3339'),
  to: z.string().describe('Predictions logged before then'),
  asOf: z.string().describe('The figures are as they were then'),
  answered: z
    .number()
    .nullable()
    .describe('About how many predictions servers made in that time, logged or not; null: it was not measured'),
  withinMicros: z.int().describe('How long after a prediction its outcome may happen, microseconds'),
  missing: z
    .union([z.boolean(), z.number(), z.string()])
    .nullable()
    .describe('The outcome of a mature prediction without a row; null: it is left out'),
  total: group.describe('Without shadow predictions'),
  shadow: z.int().describe('Shadow predictions, which only groups by version or role have'),
  groups: z.array(group),
  isFull: z.boolean().describe('Whether further groups are counted together as (other)'),
  estimates: z.array(estimate).describe('Estimates for predictions that are not mature, by version'),
})

export const qualityQuery = z.object({
  outcome: z.string().optional().describe('The outcome; needed only if the model has several'),
  since: durationQuery().describe('How far back to look, such as 24h. Default: 7d'),
  by: z
    .string()
    .optional()
    .describe('Splits, with commas: version, role, day, a declared slice, a key column, a feature, or bins of one as in `amount:10|100`'),
  asOf: z.string().optional().describe('The figures as they were at this time, RFC 3339. Default: now'),
})
