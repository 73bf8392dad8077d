import { z } from 'zod'

/** What `GET /v1/experiments/{name}/results` answers; `lockstep experiment show --server` reads it. */

const interval = z.object({ value: z.number(), low: z.number(), high: z.number() })
const p = z.number().nullable()

const comparison = z.object({
  variant: z.string().describe('The treatment'),
  control: z.string().describe('The variant that it is compared with'),
  state: z.enum(['estimated', 'not enough units']).describe('Whether there is an estimate'),
  waitsFor: z
    .object({ units: z.number(), needed: z.number(), why: z.string() })
    .nullable()
    .describe('The units that a comparison without an estimate still needs'),
  difference: interval.nullable().describe('Treatment minus control'),
  lift: interval.nullable().describe('The difference as a share of the control'),
  p: p.describe('The least alpha at which the interval of the difference excludes 0; null of a Bayesian analysis'),
  e: p.optional().describe('The evidence of this look alone against no difference, an e-value; null if the analysis is not sequential'),
  unadjusted: interval
    .nullable()
    .optional()
    .describe('The difference with an interval that is not adjusted for repeated looks; null if the analysis is not sequential'),
  adjustedP: p.describe('After correction over metrics and treatments; null without correction, and of guardrails'),
  significant: z.boolean().describe('Whether the difference is real, by the corrected p or the credible interval'),
  guardrail: z
    .object({
      margin: z.number().describe('How much worse than the control it may be, as a share'),
      verdict: z.enum(['passes', 'fails', 'undecided']).describe('passes: not worse by the margin. fails: worse by it'),
      p: z.number().describe('The p-value of the hypothesis that it is worse by the margin'),
    })
    .nullable()
    .describe('Only for guardrails'),
  bayesian: z
    .object({
      chance: z.number().describe('The probability that the treatment is better'),
      risk: z.number().describe('The expected loss if it is taken and is worse, as a share of the control'),
    })
    .nullable()
    .describe('Only for Bayesian analyses'),
  detectable: z.number().nullable().describe('The difference that so many units find in 80 of 100 cases'),
  contradicts: z.boolean().describe('Whether looks exclude each other: the effect changed'),
})

const metric = z.object({
  metric: z.string().describe('Its name'),
  role: z.enum(['primary', 'guardrail', 'secondary']).describe('Its role'),
  kind: z.string().describe('mean, proportion, ratio or quantile'),
  better: z.enum(['higher', 'lower']).describe('Which values are better'),
  arms: z
    .array(
      z.object({
        variant: z.string().describe('The variant'),
        units: z.int().describe('Mature units with a value'),
        immature: z.int().describe('Units whose window has not passed; they count later'),
        value: z.number().nullable().describe('The mean, ratio or quantile; null: no units'),
      }),
    )
    .describe('By variant'),
  comparisons: z.array(comparison).describe('By variant other than the control'),
  explained: z.number().nullable().describe('The share of the variance that the covariates explain'),
})

const result = z.object({
  experiment: z.string().describe('The name of the experiment'),
  model: z.string().describe('The name of the model'),
  asOf: z.string().describe('The moment of the analysis, RFC 3339'),
  analysis: z
    .object({
      method: z.enum(['sequential', 'fixed', 'bayesian']).describe('How it is analyzed'),
      alpha: z.number().describe('The level of the intervals'),
      correction: z.enum(['holm', 'bh', 'none']).describe('Over the metrics, guardrails excepted'),
      units: z.number().nullable().describe('The planned units'),
      prior: z.object({ mean: z.number(), deviation: z.number() }).nullable().describe('The prior of the relative effect'),
    })
    .describe('As declared'),
  variants: z
    .array(
      z.object({
        variant: z.string().describe('Its name'),
        weight: z.number().describe('Its planned share'),
        units: z.int().describe('Units that saw it first'),
        rows: z.int().describe('Rows that it answered'),
      }),
    )
    .describe('The control first'),
  metrics: z.array(metric).describe('The primary metric first'),
  slices: z
    .array(
      z.object({
        feature: z.string().describe('A feature as of the exposure'),
        groups: z
          .array(
            z.object({
              value: z.string().nullable().describe('null: units without a value, or the others'),
              others: z.boolean().describe('All values beyond the first 30'),
              comparisons: z.array(comparison).describe('The comparisons of the primary metric'),
            }),
          )
          .describe('The largest first'),
        heterogeneity: z
          .array(z.object({ variant: z.string(), p }))
          .describe('The p-value of the hypothesis that the effect is the same in all groups'),
      }),
    )
    .describe('By declared slice'),
  periods: z
    .array(
      z.object({
        fromDay: z.number().describe('Days since the exposure'),
        toDay: z.number().describe('Days since the exposure'),
        comparisons: z.array(comparison).describe('The comparisons of the primary metric'),
      }),
    )
    .describe('By time since the exposure; empty for windows under two days'),
  health: z
    .array(
      z.object({
        check: z
          .enum(['sample ratio', 'crossovers', 'lost exposures', 'covariate balance', 'stable effect', 'maturity'])
          .describe('The check'),
        state: z.enum(['ok', 'warning', 'failing', 'unknown']).describe('failing: do not trust the figures'),
        value: z.number().nullable().describe('The measured value'),
        text: z.string().describe('The finding, and what to do'),
      }),
    )
    .describe('Whether the figures can be trusted'),
  progress: z
    .object({
      units: z.int().describe('Units with a value of the primary metric'),
      planned: z.number().nullable().describe('The planned units'),
      immatureShare: z.number().describe('The share of units that are not mature'),
      maturesAt: z
        .object({
          first: z.string().describe('When the first of them is mature, RFC 3339'),
          last: z.string().describe('When the last of them is mature, RFC 3339'),
        })
        .nullable()
        .optional()
        .describe('When the units that were exposed so far and are not mature will be; null: all are mature'),
      unitsByDay: z
        .number()
        .nullable()
        .describe('New units by day, recently; null: there are exposures of fewer than 7 days, or the run has ended'),
      daysLeft: z.number().nullable().describe('The days until the planned units are mature; null: not known, or the run has ended'),
    })
    .describe('How far it is'),
})

export const experimentResultsAnswer = z.object({
  experiment: z.string().describe('The name of the experiment'),
  model: z.string().describe('The name of the model'),
  run: z.int().describe('The id of the run'),
  state: z.enum(['running', 'stopped', 'decided']).describe('The state of the run'),
  versions: z.record(z.string(), z.int()).describe('By variant, the version that it serves'),
  startedAt: z.string().describe('RFC 3339'),
  startedBy: z.string().describe('Who started it'),
  stoppedAt: z.string().nullable().describe('RFC 3339; null: it runs'),
  decision: z.unknown().describe('Who decided what, why, and on which result; null: it is not decided'),
  allocation: z
    .object({
      floor: z.number().describe('The least share of a variant'),
      periods: z
        .array(
          z.object({
            from: z.string().describe('The time from which these shares hold, RFC 3339'),
            shares: z.array(z.number()).describe('By variant, the control first'),
          }),
        )
        .describe('The shares, oldest first'),
    })
    .nullable()
    .describe('Shares that follow the results; null: they never change'),
  result: result.nullable().describe('The newest analysis; null: there is none yet'),
  looks: z
    .array(
      z.object({
        asOf: z.string().describe('RFC 3339'),
        units: z.int().describe('Units behind it'),
        comparisons: z
          .array(comparison.pick({ variant: true, difference: true, p: true, unadjusted: true }))
          .describe('Of the primary metric'),
      }),
    )
    .describe('The primary metric at each analysis, oldest first'),
})

/** What `POST /v1/experiments/{name}/decide` answers. */
export const experimentDecisionAnswer = z.object({
  experiment: z.string().describe('The name of the experiment'),
  model: z.string().describe('The name of the model'),
  decision: z
    .object({
      variant: z.string().describe('The variant that is taken'),
      version: z.int().describe('The version that it served'),
      by: z.string().describe('Who decided'),
      at: z.string().describe('When, RFC 3339'),
      reason: z.string().describe('Why'),
      evidence: z
        .object({
          result: z.int().describe('The id of the analysis'),
          asOf: z.string().describe('Its moment, RFC 3339'),
          primary: z.unknown().describe('The result of the primary metric'),
          failing: z.array(z.string()).describe('The health checks that failed'),
          guardrails: z
            .array(z.object({ metric: z.string(), verdict: z.enum(['passes', 'fails', 'undecided']) }))
            .describe('The guardrails of the variant; none for the control'),
          exposedSince: z.int().describe('The units that were exposed after it'),
          isOld: z.boolean().describe('Whether more has become known for more than 2 hours after it'),
        })
        .nullable()
        .describe('The newest analysis then; null: there was none'),
    })
    .describe('The decision'),
  notes: z.array(z.string()).describe('Notes on the decision, one sentence each'),
  revision: z.int().describe('The revision of the registry afterwards'),
})
