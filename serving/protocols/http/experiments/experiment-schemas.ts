import { z } from 'zod'
import { aliasChangeAnswer } from '../models/model-schemas.ts'
import { requestId } from '../response/response-schemas.ts'

/** What the routes of experiments answer; the `experiment` commands read it. */

const state = z.enum(['planned', 'running', 'stopped', 'decided']).describe('planned: it was never started')
const layer = z
  .object({
    name: z.string().describe('Its name'),
    from: z.number().describe('Where the part begins'),
    to: z.number().describe('Where it ends'),
  })
  .nullable()
  .describe('The part of a layer that it may use; null: it is independent')
const common = {
  name: z.string().describe('Its name'),
  model: z.string().describe('The model whose versions it compares'),
  coverage: z.number().describe('The share of the units that are in it: of all, or of its part of a layer'),
}

const listed = z.object({
  ...common,
  description: z.string().nullable().describe('The description of its definition'),
  state,
  unit: z.string().describe('The field of the entities that is assigned, or request-id'),
  layer,
  variants: z
    .array(
      z.object({
        name: z.string().describe('Its name'),
        serves: z.string().describe('The version or alias that is declared'),
        version: z.int().nullable().describe('The version that it serves; null: not started'),
        weight: z.number().describe('Its share of the units in the experiment'),
      }),
    )
    .describe('The control first'),
  primary: z.string().describe('The primary metric'),
  startedAt: z.string().nullable().describe('When it was started last, RFC 3339; null: never'),
  startedBy: z.string().nullable().describe('Who started it'),
  stoppedAt: z.string().nullable().describe('When it was stopped; null: it was not'),
  stopReason: z.string().nullable().describe('Why it was stopped'),
})

export const experimentsAnswer = z.object({ experiments: z.array(listed).describe('Running ones first'), requestId })

const run = z.object({
  ...common,
  id: z.int().describe('The id of the run'),
  state: state.exclude(['planned']).describe('Its state'),
  spec: z.looseObject({}).describe('The definition when the experiment started'),
  salt: z.string().describe("The salt of the hash that gives a unit its variant. The one that decides who is in is the layer's"),
  versions: z.record(z.string(), z.int()).describe('By variant, the version that it serves'),
  slices: z
    .array(
      z.object({
        from: z.number().describe('Where the part begins'),
        to: z.number().describe('Where it ends'),
        variant: z.string().describe('The variant'),
      }),
    )
    .describe('The parts of [0, 1) that the variants have'),
  startedBy: z.string().describe('Who started it'),
  startedAt: z.string().describe('When, RFC 3339'),
  stoppedBy: z.string().nullable().describe('Who stopped it; null: it runs'),
  stoppedAt: z.string().nullable().describe('When it was stopped; null: it runs'),
  stopReason: z.string().nullable().describe('Why it was stopped'),
  decision: z.unknown().describe('The decision; null: there is none yet'),
})

export const experimentChangeAnswer = z.object({
  experiment: run,
  notes: z.array(z.string()).describe('Notes, one sentence each'),
  revision: aliasChangeAnswer.shape.revision,
  servers: aliasChangeAnswer.shape.servers,
  inForce: z.boolean().describe('false, with status 202, if the change is made but this server does not route by it yet'),
  requestId,
})
