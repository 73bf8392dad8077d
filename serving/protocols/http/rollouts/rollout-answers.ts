import { z } from 'zod'
import { aliasChangeAnswer } from '../models/model-schemas.ts'

const { requestId } = aliasChangeAnswer.shape

const rolloutFields = z.object({
  id: z.int().describe('Its id'),
  model: z.string().describe('The name of the model'),
  version: z.int().describe('The candidate'),
  state: z
    .enum(['running', 'promoted', 'aborted', 'rolled back'])
    .describe('promoted: the candidate became the champion. rolled back: by a gate'),
  share: z.number().describe('The share of the units that get the candidate, from 0 to 1'),
  unit: z.string().describe('The field of the entities that decides which version a row gets, or request-id'),
  salt: z.string().describe('The salt of the hash of the units'),
  plan: z
    .looseObject({
      steps: z.array(
        z.object({
          share: z.number().describe('The share of the candidate'),
          atLeast: z.string().describe('Its least time'),
          samples: z.int().describe('The least number of rows of the candidate'),
        }),
      ),
      gates: z.array(z.looseObject({ kind: z.string().describe('The kind of gate') })).describe('Its gates with their settings'),
      every: z.string().describe('How often the gates are asked'),
    })
    .nullable()
    .describe('Its steps and gates; null: the share is changed by hand'),
  step: z.int().nullable().describe('The index of the step, from 0; null: there is no plan'),
  paused: z.boolean().describe('Whether the plan is paused'),
  since: z.string().describe('The start of the step, from which evidence is gathered, RFC 3339'),
  startedBy: z.string().describe('Who started it'),
  startedAt: z.string().describe('When, RFC 3339'),
  endedAt: z.string().nullable().describe('When it ended; null: it runs'),
})

const rolloutDecision = z.object({
  id: z.int().describe('Its id'),
  step: z.int().nullable().describe('The index of the step; null: there was no plan'),
  at: z.string().describe('When, RFC 3339. Of hold and not enough evidence: the newest look'),
  since: z.string().describe('Of hold and not enough evidence: the first of the equal looks in a row, RFC 3339. Else as at'),
  action: z
    .string()
    .describe('advance, promote, roll back, hold, not enough evidence; of people: start, share, pause, resume, promote, abort'),
  by: z.string().describe('Who decided'),
  reasons: z.array(z.string()).describe('Why, one sentence each'),
  evidence: z.unknown().describe("The evidence of the controller's decision; null: a person decided"),
  shareBefore: z.number().nullable().describe('The share before; null: it started'),
  shareAfter: z.number().nullable().describe('The share afterwards; null: it ended'),
})

export const rolloutAnswer = z.object({
  model: z.string().describe('The name of the model'),
  pinned: z.int().nullable().describe('The version that the model is pinned to, which answers whatever the rollout says; null: none'),
  serves: z
    .int()
    .nullable()
    .describe('The version that answers requests which name none and are not of the candidate; null: there is none'),
  rollout: rolloutFields.nullable().describe('The running rollout, or the last one; null: the model had none'),
  hold: z
    .object({
      since: z.string().describe('Since when it holds, RFC 3339'),
      reasons: z.array(z.string()).describe('Why, one sentence each'),
      todo: z.string().describe('What a person can do'),
    })
    .nullable()
    .describe('Whether a gate holds the rollout, or it waits for a promotion by hand; null: neither'),
  decisions: z.array(rolloutDecision).describe('Its decisions, newest first'),
  requestId,
})

export const rolloutChangeAnswer = z.object({
  rollout: rolloutFields,
  notes: z.array(z.string()).describe('Notes, one sentence each'),
  revision: aliasChangeAnswer.shape.revision,
  servers: aliasChangeAnswer.shape.servers,
  inForce: aliasChangeAnswer.shape.inForce,
  requestId,
})
