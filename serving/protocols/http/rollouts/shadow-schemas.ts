import { z } from 'zod'
import { aliasChangeAnswer } from '../models/model-schemas.ts'
import { requestId } from '../response/response-schemas.ts'

/** What the routes of shadows answer; the `shadow` commands read it. */

const share = z.number()
const figure = z.object({
  value: z.number().nullable().describe('null: see `reason`'),
  low: z.number().nullable().describe('The 95 % interval'),
  high: z.number().nullable().describe('The upper limit of the interval'),
  n: z.int().describe('The pairs behind it'),
  reason: z.string().nullable().describe('Why there is no value'),
  interval: z
    .enum(['entities', 'rows'])
    .describe('entities: rows of one entity may depend on each other. rows: all rows are taken for independent'),
})

const shadowFields = z.object({
  id: z.int().describe('Its id'),
  model: z.string().describe('The name of the model'),
  version: z.int().describe('The candidate'),
  state: z.enum(['running', 'stopped']).describe('Whether it runs'),
  share: share.describe('The share of the units that the candidate runs too, from 0 to 1'),
  unit: z.string().describe('The field of the entities that decides which rows it runs, or request-id'),
  salt: z.string().describe('The salt of the hash of the units'),
  tolerance: z.number().describe('Outputs that differ by more are counted'),
  startedBy: z.string().describe('Who started it'),
  startedAt: z.string().describe('When, RFC 3339'),
  endedAt: z.string().nullable().describe('When it was stopped; null: it runs'),
})

export const shadowChangeAnswer = z.object({
  shadow: shadowFields,
  revision: aliasChangeAnswer.shape.revision,
  servers: aliasChangeAnswer.shape.servers,
  inForce: aliasChangeAnswer.shape.inForce,
  requestId,
})

const keys = z.record(z.string(), z.unknown())
const stage = z.object({ p50: z.number().nullable(), p99: z.number().nullable() }).describe('Milliseconds; null: nothing was measured')
const times = z.object({
  version: z.int().describe('The number of the version'),
  role: z.string().describe('Why it ran'),
  requests: z.int().describe('Answered requests, or parts of requests'),
  rows: z.int().describe('Answered rows'),
  features: stage,
  run: stage,
})

export const shadowReportAnswer = z.object({
  model: z.string().describe('The name of the model'),
  shadow: shadowFields.nullable().describe('The running shadow, or the last one; null: the model had none'),
  comparison: z
    .object({
      from: z.string().describe('Rows logged from then on, RFC 3339'),
      to: z.string().describe('Rows logged before then'),
      logged: z.int().describe('Rows of the shadow in the prediction log'),
      pairs: z.int().describe('The newest of these, compared with the logged answer to the same row'),
      entities: z.int().nullable().describe('Distinct entities of the pairs; null: more than are kept apart'),
      outputs: z.array(
        z.object({
          output: z.string().describe('The output'),
          kind: z.enum(['number', 'category']).describe('category: the difference is 0 or 1'),
          n: z.int().describe('Pairs whose difference is a number'),
          notComparable: z.int().describe('Pairs with NaN or an infinity on one side; they count as beyond the tolerance'),
          mean: figure.describe('Candidate minus what was answered'),
          quantiles: z
            .array(
              z.object({
                quantile: share,
                value: z.number(),
                low: z.number().nullable(),
                high: z.number().nullable().describe('Limits at 95 % that hold however often you look; null: too few pairs'),
              }),
            )
            .describe('Absolute differences at these quantiles'),
          beyond: figure.describe('The share of pairs that differ by more than the tolerance'),
          flips: figure
            .extend({ threshold: z.number().nullable() })
            .nullable()
            .describe('The share of pairs that are decided otherwise; null: the output decides nothing'),
        }),
      ),
      output: z.string().nullable().describe('The output that `features` and `examples` are about'),
      features: z
        .array(
          z.object({
            feature: z.string(),
            explained: share.describe('The part of the variance of the absolute difference that lies between bins of the feature'),
            n: z.int(),
            most: z
              .object({ bin: z.string(), n: z.int(), mean: z.number(), low: z.number(), high: z.number() })
              .nullable()
              .describe('The bin with the greatest mean difference'),
          }),
        )
        .describe('Features that tell where the versions differ, the best first'),
      changedFeatures: z
        .array(z.object({ feature: z.string(), share, n: z.int() }))
        .describe('Features whose values differ between the versions, and in what share of pairs'),
      examples: z
        .array(
          z.object({
            predictionId: z.string().describe("The id of the shadow's prediction"),
            answeredId: z.string().describe('The id of the answered prediction'),
            answeredVersion: z.int(),
            asOf: z.string().describe('The moment that the features hold for'),
            service: z.string().describe('The feature service of the candidate'),
            keys,
            answered: z.unknown(),
            candidate: z.unknown(),
            difference: z.number().nullable(),
          }),
        )
        .describe('The greatest differences'),
      traffic: z
        .object({
          shadow: times,
          dropped: z.int().describe('Parts of requests that servers had no time to run in shadow'),
          errors: z.record(z.string(), z.int()).describe('Parts of requests that failed in the shadow, by code'),
          answered: z.array(times),
        })
        .nullable()
        .describe('The traffic that servers measured in complete minutes; null: none yet'),
      notes: z.array(z.string()).describe('Notes, one sentence each'),
    })
    .nullable()
    .describe('null: the model had no shadow'),
  requestId,
})
