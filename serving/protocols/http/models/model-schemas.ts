import { z } from 'zod'
import { kindOrder } from '../../../../registry/definition.ts'
import { requestId } from '../response/response-schemas.ts'

const modelTensor = z.object({
  name: z.string().describe('Its name'),
  type: z.string().describe('The type of its elements'),
  shape: z.array(z.union([z.number(), z.string()])).describe('A number: a fixed size. A text or a number below 0: any size'),
  isTensor: z.boolean().describe('false for sequences and maps'),
  features: z.array(z.string()).optional().describe('Of an input: the features of a row, in order, where the model declares them'),
})
const tensor = z.looseObject({ name: z.string().describe('Its name') })

const versionFields = {
  version: z.int().describe('The number of the version'),
  service: z.string().describe('The feature service'),
  serviceFingerprint: z.string().describe('The fingerprint of the service at that time'),
  sha256: z.string().describe('The SHA-256 of the file'),
  sizeBytes: z.int().describe('The size of the file, in bytes'),
  createdAt: z.string().describe('When it was pushed, RFC 3339'),
  inputs: z.array(tensor).describe("The file's inputs"),
  outputs: z.array(tensor).describe('The outputs'),
  metadata: z.record(z.string(), z.unknown()).describe('The metadata that was pushed with the version'),
  metrics: z.record(z.string(), z.number()).describe('Evaluation results'),
  params: z.record(z.string(), z.unknown()).describe('Training parameters'),
  dataset: z.string().nullable().describe('The id of the training set'),
  gitCommit: z.string().nullable().describe('The commit of the training code'),
  pushedBy: z.string().nullable().describe('Who pushed it'),
  aliases: z.array(z.string()).describe('The aliases that point to it'),
}

const modelFields = {
  model: z.string().describe('The name of the model'),
  service: z.string().describe('The feature service'),
  description: z.string().nullable().describe('The description of its definition'),
  owner: z.string().nullable().describe('The person or team to ask'),
  tags: z.array(z.string()).describe('Its tags'),
  outputs: z.array(z.looseObject({ name: z.string().describe('Its name'), type: z.string().describe('Its type') })).describe('The outputs'),
  version: z.int().nullable().describe('The version that answers requests which name no version'),
  pinned: z.int().nullable().describe('The version that the model is pinned to, until it is unpinned; null: none'),
  rollout: z
    .object({ version: z.int().describe('The candidate'), share: z.number().describe('Its share of the requests, from 0 to 1') })
    .nullable()
    .describe('The running rollout; null: none'),
  shadow: z
    .object({
      version: z.int().describe('The candidate'),
      share: z.number().describe('The share of the units that it runs too, from 0 to 1'),
    })
    .nullable()
    .describe('The running shadow; null: none'),
  aliases: z.record(z.string(), z.int()).describe('By name: the version that it points to'),
  versions: z.array(z.looseObject(versionFields)).describe('Oldest first'),
}

export const modelAnswer = z.looseObject({ ...modelFields, requestId })
export const modelsAnswer = z.object({ models: z.array(z.looseObject(modelFields)), requestId })

const origin = z.looseObject({
  id: z.string().describe('Name and version'),
  fingerprint: z.string().describe('Its identity'),
  retired: z.boolean().describe('Whether it was pruned since'),
})
export const modelVersionAnswer = z.looseObject({
  model: z.string().describe('The name of the model'),
  ...versionFields,
  lineage: z.object({
    dataset: z
      .looseObject({
        id: z.string().describe('The id of the training set'),
        sameService: z.boolean().nullable().describe('Whether it has the features that the model is served with'),
      })
      .nullable()
      .describe('The training set; null if the push named none'),
    service: origin,
    views: z.array(origin),
    onDemand: z.array(origin),
    sources: z.array(z.looseObject({ name: z.string().describe('Its name') })),
  }),
  requestId,
})

export const aliasChangeAnswer = z.object({
  model: z.string().describe('The name of the model'),
  alias: z.string().describe('The alias'),
  from: z.int().nullable().describe('The version that it pointed to before; for a first champion, the version that answered until then'),
  to: z.int().nullable().describe('The version that it points to afterwards; null: it was removed'),
  changed: z.boolean().describe('false if nothing had to change'),
  pinned: z.int().nullable().describe('The version that the model is pinned to: it answers whatever the champion is. null: none'),
  revision: z.int().describe("The registry's, afterwards"),
  servers: z
    .object({ asked: z.int().describe('How many servers were asked'), loaded: z.int().describe('How many have loaded it') })
    .exactOptional()
    .describe('How many servers were asked to load the version before the alias was changed, and how many loaded it'),
  inForce: z.boolean().describe('false, with status 202, if the change is made but this server has not loaded the version yet'),
  requestId,
})

export const pinChangeAnswer = z.object({
  model: z.string().describe('The name of the model'),
  from: z.int().nullable().describe('The pinned version before; null: none'),
  to: z.int().nullable().describe('The pinned version afterwards; null: none'),
  serves: z.int().nullable().describe('The version that answers requests which name none, afterwards; null: the model has none'),
  changed: aliasChangeAnswer.shape.changed,
  revision: aliasChangeAnswer.shape.revision,
  servers: aliasChangeAnswer.shape.servers,
  inForce: aliasChangeAnswer.shape.inForce,
  requestId,
})

const freed = z
  .array(
    z.object({
      kind: z.enum(kindOrder).describe('The kind of definition'),
      name: z.string().describe('Its name'),
      version: z.int().describe('Its version; 0: its kind has none'),
    }),
  )
  .describe('Definitions that nothing needs any more')

export const deletedVersionAnswer = z.object({
  model: z.string().describe('The name of the model'),
  version: z.int().describe('The number of the version'),
  sizeBytes: z.int().describe('The size of its file'),
  freed,
  revision: z.int().describe("The registry's, afterwards"),
  dryRun: z.boolean().describe('Whether nothing was deleted'),
  requestId,
})

export const pushAnswer = z.object({
  model: z.string().describe('The name of the model'),
  version: z.int().describe('The number of the version'),
  service: z.templateLiteral([z.string(), '@', z.int()]).describe('The feature service whose features it takes'),
  serviceFingerprint: z.string().describe('Its fingerprint'),
  sha256: z.string().describe('The SHA-256 of the file, hex'),
  sizeBytes: z.int().describe('The size of the file'),
  createdAt: z.string().describe('When it was pushed first'),
  inputs: z.array(modelTensor).describe("The file's inputs"),
  outputs: z.array(modelTensor).describe("The file's outputs"),
  metadata: versionFields.metadata,
  metrics: versionFields.metrics,
  params: versionFields.params,
  dataset: versionFields.dataset,
  gitCommit: versionFields.gitCommit,
  pushedBy: versionFields.pushedBy,
  signature: z.string().nullable().describe('Its signature; null: it was pushed without a signing key'),
  created: z.boolean().describe('false if the same file was pushed before'),
  unusedFeatures: z.array(z.string()).describe('Features that the model takes no input from'),
  alias: aliasChangeAnswer
    .omit({ revision: true, pinned: true, inForce: true, requestId: true })
    .nullable()
    .describe('The change of the alias'),
  champion: z.int().nullable().describe('The version that answers requests which name none; null: the newest does'),
  notes: z.array(z.string().describe('A note')).describe('Notes that prevent nothing'),
  requestId,
})

export const modelHistoryAnswer = z.object({
  model: z.string().describe('The name of the model'),
  events: z.array(
    z.object({
      id: z.int().describe('Its id'),
      model: z.string().describe('The name of the model'),
      action: z.enum(['push', 'promote', 'rollback', 'remove', 'pin', 'unpin']).describe('The change'),
      alias: z.string().nullable().describe('The alias'),
      from: z.int().nullable().describe('The version that it pointed to before'),
      to: z.int().nullable().describe('The version that it points to afterwards; null: it was removed'),
      actor: z.string().describe('Who did it'),
      reason: z.string().nullable().describe('The reason, if one was given'),
      at: z.string().describe('When, RFC 3339'),
    }),
  ),
  requestId,
})
