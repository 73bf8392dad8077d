import { z } from 'zod'
import { chart, link, moment } from './answer.ts'
import { trainingLine } from './trainings.ts'

/** `GET /ui/api/models/:id` */
export const model = z.object({
  name: z.string(),
  description: z.string().nullable(),
  owner: z.string().nullable(),
  tags: z.array(z.string()),
  service: z.string(),
  champion: z.number().nullable(),
  pinned: z.number().nullable(),
  rollBack: z
    .object({
      to: z.number().nullable().describe('The champion before; null: it cannot be rolled back'),
      says: z.string().nullable().describe('Why it cannot be rolled back'),
    })
    .nullable()
    .describe('What a rollback does; null: of a past moment'),
  revision: z.string().describe('What a change sends as `If-Match`'),
  says: z.string().describe('How it is, in a sentence'),
  rollout: z.object({ version: z.number(), share: z.number(), paused: z.boolean() }).nullable(),
  experiment: z.string().nullable(),
  versionsSay: z.string().describe('Which time the figures of versions are of, in a sentence'),
  versions: z.array(
    z.object({
      version: z.number(),
      role: z.string().nullable().describe('champion, candidate, shadow, variant'),
      service: z.string(),
      pushedAt: moment,
      sizeBytes: z.number(),
      requests: z.number().nullable().describe('Sent to the version in the time that `versionsSay` names'),
      failed: z.number().nullable().describe('Those that it failed, also where the champion answered in its place'),
      p99Ms: z.number().nullable(),
      evidence: z.string().describe('The newest figures of the version, in sentences, for who may promote it'),
      baseline: z.boolean().describe('Whether drift has something to compare with'),
      note: z.string().describe('Its training set, and when it was rolled back'),
      trainedBy: z
        .object({ training: z.string(), job: z.string() })
        .nullable()
        .describe('The run of a training that registered it; null: it was pushed'),
    }),
  ),
  trainings: z.array(trainingLine).describe('Of this model, with their last runs, without logs'),
  inputs: z.array(z.object({ feature: z.string(), view: z.string().describe('A view, or an on-demand view'), type: z.string() })),
  traffic: chart,
  latency: chart,
})
export type ModelData = z.output<typeof model>

/** `GET /ui/api/models/:id/quality`: stored evaluations. */
export const quality = z.object({
  finding: z.string(),
  metrics: z.array(
    z.object({
      name: z.string(),
      value: z.number(),
      low: z.number().nullable(),
      high: z.number().nullable(),
      n: z.number(),
      says: z.string().nullable(),
    }),
  ),
  overTime: z.array(z.object({ name: z.string(), chart, bound: z.object({ value: z.number(), name: z.string() }).nullable() })),
  outcome: z.string().nullable().describe('Which outcome the figures judge by; null: no figures are stored'),
  outcomes: z.string().describe('How many outcomes are there, and how many are still to come'),
  drift: z
    .array(
      z.object({
        feature: z.string(),
        view: z.string().nullable(),
        drifted: z.boolean(),
        since: z
          .string()
          .nullable()
          .describe('Since which day its checks have found it drifted: `since 2001-06-29`, `since 2001-06-01 or earlier`'),
        distance: z.number().nullable().describe('PSI'),
        byChance: z.number().nullable().describe('The part of the distance that chance gives; null: not known'),
        harm: z.number().nullable().describe('How much it moves the predictions: the greatest first'),
        says: z.string().describe('What moved, and by what likely cause'),
      }),
    )
    .describe('The most harmful first'),
  driftRule: z.string().nullable().describe('When a column counts as drifted, and what harm is; null: no drift is stored'),
})
export type QualityData = z.output<typeof quality>

/** `GET /ui/api/models/:id/calibration`: the stored one. */
export const calibration = z.object({
  finding: z.string(),
  /** Observed by predicted probability; `t` is the predicted one. The second series is the ideal. */
  chart: chart.nullable(),
  scores: chart.nullable().describe('How many predictions have which probability'),
})
export type CalibrationData = z.output<typeof calibration>

/** `GET /ui/api/models/:id/over-time?step=`: 30 days, or with `step=hour` 48 hours, and what changed meanwhile. */
export const overTime = z.object({
  step: z.enum(['day', 'hour']),
  says: z.string().describe('Of which time the figures are, in a sentence'),
  requests: chart.describe('Requests, and those that failed, by version'),
  outputs: z
    .array(
      z.object({
        name: z.string(),
        kind: z.enum(['mean', 'shares']).describe('Of numbers, or of texts and booleans'),
        chart,
      }),
    )
    .describe('Those that are one number, one text or one boolean'),
  changes: z
    .array(
      z.object({
        at: moment,
        says: z.string(),
        who: z.string().nullable().describe('null: nobody, or it was not recorded'),
        reason: z.string().nullable(),
        link: link.nullable(),
      }),
    )
    .describe('What may have changed the predictions, newest first'),
})
export type OverTimeData = z.output<typeof overTime>
