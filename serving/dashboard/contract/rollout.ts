import { z } from 'zod'
import { chart, moment } from './answer.ts'

const decision = z.object({
  id: z.string(),
  at: moment,
  step: z.number().nullable(),
  action: z.string(),
  by: z.string(),
  reasons: z.array(z.string()),
  shareBefore: z.number().nullable(),
  shareAfter: z.number().nullable(),
  hasEvidence: z.boolean().describe('Whether it can be replayed'),
  replaysSame: z.boolean().nullable().describe('Whether its evidence gives the same decision again; null: a person decided'),
})

/** `GET /ui/api/rollouts/:id?rollout=`: a rollout of a model, or the running or newest one. */
export const rollout = z.object({
  model: z.string(),
  champion: z.number().nullable(),
  pinned: z.number().nullable(),
  rollout: z
    .object({
      id: z.string(),
      version: z.number().describe('The candidate'),
      state: z.string().describe('running, promoted, aborted or rolled back'),
      share: z.number(),
      unit: z.string(),
      steps: z.array(z.object({ share: z.number(), atLeast: z.string(), samples: z.number() })),
      step: z.number().nullable(),
      paused: z.boolean(),
      since: moment,
      startedBy: z.string(),
      startedAt: moment,
      endedAt: moment.nullable(),
      /** What a change sends as `If-Match`. */
      revision: z.string(),
    })
    .nullable(),
  headline: z.string().describe('A sentence: how far it is, and what it waits for'),
  evidence: z.array(z.string()).describe('The newest figures of the candidate, and what each gate says; empty: the rollout has ended'),
  traffic: chart.describe('The share of the candidate over time, as steps'),
  gates: z.array(
    z.object({
      name: z.string(),
      verdict: z.enum(['passes', 'fails', 'undecided']),
      says: z.string().describe('A sentence with the figures'),
      /** How much of the evidence for a decision is there, from 0 to 1; null: the gate does not say. */
      progress: z.number().nullable(),
      evidence: chart.nullable().describe('Over time'),
      bound: z.object({ value: z.number(), name: z.string() }).nullable(),
    }),
  ),
  decisions: z.array(decision),
  others: z.array(
    z.object({ id: z.string(), version: z.number(), state: z.string(), share: z.number(), startedAt: moment, endedAt: moment.nullable() }),
  ),
})
export type RolloutData = z.output<typeof rollout>

/** `GET /ui/api/rollouts/:id/decisions/:decision`: what was decided on, and whether the same is decided again. */
export const decisionEvidence = z.object({
  decision,
  gates: z
    .array(
      z.object({
        name: z.string(),
        verdict: z.enum(['advance', 'hold', 'roll back', 'not enough evidence']),
        says: z.string().describe('A sentence with the figures'),
        difference: z
          .object({
            unit: z.enum(['share', 'ms', 'value']),
            value: z.number().describe('How much worse the candidate was; negative: better'),
            low: z.number().describe('The lower end of an interval that is valid at every look'),
            high: z.number().describe('Its upper end'),
            allowed: z.number().describe('How much worse is allowed'),
          })
          .nullable()
          .describe('null: the gate compares nothing, or had nothing to compare'),
        meter: z
          .object({ says: z.string(), reached: z.number().describe('The share of the line at which the gate decides, from 0 to 1') })
          .nullable()
          .describe('The evidence against the candidate'),
      }),
    )
    .describe('What each gate said; empty: a person decided'),
  facts: z.array(z.object({ name: z.string(), value: z.string() })),
  replay: z.object({ isSame: z.boolean(), action: z.string(), says: z.string() }).nullable(),
})
export type DecisionEvidence = z.output<typeof decisionEvidence>
