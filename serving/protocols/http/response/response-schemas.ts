import { z } from 'zod'
import { kindOrder } from '../../../../registry/definition.ts'

/**
 * What routes answer, for the OpenAPI document: answers are written by hand where they are hot, and tests compare
 * them with these.
 */

const named = z.record(z.string(), z.unknown()).describe('By name of the feature or output')
const lackingStatus = z.enum(['NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'UNAVAILABLE', 'INVALID'])
const statuses = z.record(z.string(), z.enum(['PRESENT', ...lackingStatus.options])).describe('By name of the feature: its status')
const columns = z.record(z.string(), z.array(z.unknown()))
const sparseStatuses = z.record(z.string(), z.partialRecord(lackingStatus, z.array(z.int())))
const timeColumns = z.record(z.string(), z.array(z.string().nullable()))
const times = z.record(z.string(), z.string().nullable()).describe('By name of the feature: the event time, RFC 3339')

export const requestId = z.string().describe('The same as the header x-request-id')

const moment = {
  asOf: z.string().describe('The moment of all values, RFC 3339 in UTC'),
  skewed: z.literal(true).optional().describe("This machine's clock is behind the stored data"),
  degraded: z.literal(true).optional().describe('The online store could not be read: the features are stale values or defaults'),
  staleMs: z.number().optional().describe('The age of the oldest state in a degraded answer, in milliseconds'),
  late: z
    .array(z.string())
    .optional()
    .describe('Scheduled views whose run is overdue: their values lack what that run should have added by the moment of the answer'),
  requestId,
  frontiers: z
    .record(z.string(), z.string().nullable())
    .optional()
    .describe('By online view: the transactions whose rows are in the values'),
}

const types = z.record(z.string(), z.string()).optional().describe('By name: the type, such as "int64" or "list(string)"')

export const featuresAnswer = z.object({
  service: z.string().describe('The feature service'),
  version: z.int().describe('The number of the version'),
  fingerprint: z.string().describe('The fingerprint of the service: equal fingerprints mean equal values'),
  ...moment,
  types,
  results: z
    .array(z.object({ features: named, statuses, eventTimes: times.optional() }))
    .optional()
    .describe('With the format rows: in the order of the entities'),
  features: columns.optional().describe('With the format columns: by name of the feature, a value for each entity'),
  statuses: sparseStatuses
    .optional()
    .describe('With the format columns: by name of the feature and status, the indexes of the entities. PRESENT is left out'),
  eventTimes: timeColumns.optional().describe('With the format columns: by name of the feature, the event times, RFC 3339'),
})

const servedAs = {
  version: z.int().describe('The number of the version'),
  service: z.string().describe('The feature service'),
  role: z
    .enum(['champion', 'canary', 'arm', 'requested'])
    .describe(
      'Why this version answered. champion: it answers requests that name no version. canary: by a rollout. arm: by an experiment. requested: the request named it',
    ),
  experiment: z.string().optional().describe('Only with the role arm: the experiment'),
  variant: z.string().optional().describe('Only with the role arm: the variant'),
  bypassed: z
    .int()
    .optional()
    .describe('The version in whose place this one answered, because that one failed or is bypassed. Absent: none'),
}

export const predictAnswer = z.object({
  model: z.string().describe('The name of the model'),
  version: servedAs.version.optional().describe('The number of the version; absent if several versions answered'),
  service: servedAs.service.optional().describe('The feature service; absent if several versions answered'),
  role: servedAs.role.optional(),
  experiment: servedAs.experiment,
  variant: servedAs.variant,
  bypassed: servedAs.bypassed,
  servedBy: z
    .array(
      z.object({
        ...servedAs,
        rows: z.array(z.int()).describe('The indexes of the entities that it answered, ascending'),
        frontiers: moment.frontiers,
        types,
      }),
    )
    .optional()
    .describe('Only if several versions answered: each with its rows. Frontiers are here then, and the types of each version'),
  ...moment,
  types,
  outputTypes: types,
  predictionIds: z
    .array(z.string().nullable())
    .describe('By index of the entities: the id of the prediction, as in the prediction log; null: it came from a batch'),
  fromBatch: z
    .array(
      z.object({ id: z.string().describe('The id of the batch'), asOf: z.string().describe('The time of its row, RFC 3339') }).nullable(),
    )
    .optional()
    .describe('Only with "from": "batch", by index of the entities: the batch of the prediction; null: the model has just made it'),
  predictions: z
    .union([z.array(named), columns])
    .describe('In the order of the entities; with the format columns: by name of the output, a value for each entity'),
  outputStatuses: z
    .union([z.array(z.record(z.string(), z.literal('INVALID'))), sparseStatuses])
    .optional()
    .describe('Only if an output is NaN or an infinity, which JSON cannot represent'),
  features: z
    .union([z.array(named), columns])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
  statuses: z
    .union([z.array(statuses), sparseStatuses])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
  eventTimes: z
    .union([z.array(times), timeColumns])
    .optional()
    .describe('By index of the entities; with the format columns: as in /v1/features'),
})

export const eventsAnswer = z.object({
  source: z.string().describe('The source'),
  accepted: z.int().describe('How many events were written'),
  duplicates: z.int().describe('How many had been written before, according to their ids'),
  online: z.boolean().optional().describe('Whether the online views have the events'),
  token: z.string().describe('Pass it as "after" to get answers that include the pushed events'),
  requestId,
})

export const ingestAnswer = z.object({
  id: z.string().describe('The id of the load, by which it can be undone'),
  source: z.string().describe('The source'),
  table: z.string().describe('Its table'),
  rows: z.int().describe('How many rows were loaded'),
  already: z.int().describe('How many rows were passed over because their key is in the table'),
  seconds: z.number().describe('How long it took'),
  requestId,
})

export const undoneIngestAnswer = z.object({
  id: z.string().describe('The id of the load'),
  source: z.string().describe('The source'),
  rows: z.int().describe('How many rows were deleted'),
  entities: z.record(z.string(), z.int().nullable()).describe('By view: how many entities were rebuilt; null: all'),
  requestId,
})

const modelTensor = z.object({
  name: z.string().describe('Its name'),
  type: z.string().describe('The type of its elements'),
  shape: z.array(z.union([z.number(), z.string()])).describe('A number: a fixed size. A text or a number below 0: any size'),
  isTensor: z.boolean().describe('false for sequences and maps'),
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

export const auditAnswer = z.object({
  records: z.array(
    z.object({
      id: z.int().describe('Its id'),
      at: z.string().describe('When, RFC 3339'),
      actor: z.string().describe('The id of an API key, "http" if the server has no keys, or user@host'),
      actorName: z.string().nullable().describe('The name of the key'),
      action: z.string().describe('The action'),
      subject: z.string().describe('The definition, key or other thing that was changed'),
      before: z.unknown().describe('The state before'),
      after: z.unknown().describe('The state after'),
      reason: z.string().nullable().describe('The reason, if one was given'),
      requestId: z.string().nullable().describe('The id of the request that did it'),
    }),
  ),
  next: z.int().nullable().describe('Send it as `before` to read the next page; null: there are no more records'),
  requestId,
})

export const jobState = z.enum(['running', 'done', 'failed', 'cancelled'])

export const backfillAnswer = z.looseObject({
  id: z.int().describe('The id of its job'),
  view: z.string().describe('The feature view'),
  state: jobState.describe('Its progress'),
  joined: z.boolean().describe('Whether it ran already'),
  requestId,
})

const jobError = z.object({ code: z.string().describe('The error code'), message: z.string().describe('The message') })
const jobFields = {
  id: z.int().describe('Its id'),
  kind: z.string().describe('The kind of job: backfill, export, scheduled-run, source-sync, housekeeping, baselines'),
  subject: z.string().describe('The subject, such as a view or a service'),
  state: jobState.describe('Its progress'),
  moment: z.string().nullable().describe('The instant of its schedule; null: it has no schedule'),
  chunks: z.int().describe('The number of chunks'),
  chunksDone: z.int().describe('The number of finished chunks'),
  totals: z.record(z.string(), z.number()).describe('Sums over the chunks that are done, such as rows'),
  workers: z.array(z.string()).describe('Who works on it now, as host:pid, once for each step'),
  secondsLeft: z.number().nullable().describe('How long it takes at the pace so far; null: unknown'),
  error: jobError.optional().describe('Why it failed'),
  result: z.unknown().describe('Its result; null: it has none, or is not done'),
  submittedBy: z.string().describe('Who submitted it, as host:pid'),
  submittedAt: z.string().describe('When it was submitted'),
  finishedAt: z.string().nullable().describe('When it ended; null: it runs'),
}
const stepFields = {
  step: z.enum(['plan', 'chunk', 'finish', 'clean']).describe('Which part of the work it is'),
  number: z.int().describe('Its number, from 0'),
  state: z.enum(['open', 'done', 'closed']).describe('closed: the job ended before it was done'),
  attempts: z.int().describe('How often it was claimed'),
  worker: z.string().nullable().describe('Who has it, or had it last'),
  atWork: z.boolean().describe('Whether somebody works on it now'),
  progress: z.number().nullable().describe('From 0 to 1; null: unknown'),
  error: jobError.nullable().describe('The error of its last attempt'),
  claimableAt: z.string().nullable().describe('From when on a worker may take it'),
}

export const jobsAnswer = z.object({ jobs: z.array(z.object(jobFields)), requestId })
export const jobAnswer = z.object({
  ...jobFields,
  steps: z.array(z.object(stepFields)).describe('Its steps, running ones first, at most 100'),
  requestId,
})
export type JobAnswer = z.output<typeof jobAnswer>

export const liveAnswer = z.object({ live: z.literal(true).describe('The process answers') })
export const readyAnswer = z.object({
  ready: z.boolean().describe('Whether requests can be answered'),
  failing: z.array(z.string()).optional().describe('The parts that make the server not ready, by name'),
  degraded: z.array(z.string()).optional().describe('The parts that have problems although the server is ready, by name'),
  reasons: z.array(z.string()).optional().describe('Why it is not ready. Only for this machine and keys of scope admin'),
  warnings: z.array(z.string()).optional().describe('Other problems. Only for this machine and keys of scope admin'),
})

/** Of every error, in the house's own shape. */
export const errorBody = z.object({
  error: z.object({
    code: z.string().describe('The code that programs should check'),
    message: z.string().describe('What failed, the cause in quotes, and what to do'),
    details: z.record(z.string(), z.unknown()),
    requestId,
  }),
})
export const oipErrorBody = z.object({ error: z.string() })
export const feastErrorBody = z.string().describe('JSON in a text: { "module", "class", "message" }')
