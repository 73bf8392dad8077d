import { z } from 'zod'

/** What routes answer, for the OpenAPI document: answers are written by hand where they are hot, and tests hold them against these. */

const named = z.record(z.string(), z.unknown()).describe('By name of the feature or output')
const statuses = z
  .record(z.string(), z.enum(['PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'UNAVAILABLE', 'INVALID']))
  .describe('By name of the feature: what was there')
const times = z.record(z.string(), z.string().nullable()).describe('By name of the feature: the event time, RFC 3339')

const requestId = z.string().describe('As in the header x-request-id')

const moment = {
  asOf: z.string().describe('The moment of all values, RFC 3339 in UTC'),
  skewed: z.literal(true).optional().describe("This machine's clock is behind the stored data"),
  degraded: z
    .literal(true)
    .optional()
    .describe('The online store could not be read, and its features are as they were lately, or defaults'),
  staleMs: z.number().optional().describe('Of a degraded answer, how long ago the oldest state was read that it is from, milliseconds'),
  late: z
    .array(z.string())
    .optional()
    .describe('Views with a schedule whose run is late: their values lack what it was to bring by the moment of the answer'),
  requestId,
  frontiers: z
    .record(z.string(), z.string().nullable())
    .optional()
    .describe('By online view: the transactions whose rows are in the values'),
}

const types = z.record(z.string(), z.string()).optional().describe('By name: the type, as "int64" or "list(string)"')

export const featuresAnswer = z.object({
  service: z.string(),
  version: z.int(),
  fingerprint: z.string(),
  ...moment,
  types,
  results: z.array(z.object({ features: named, statuses, eventTimes: times.optional() })).describe('In the order of the entities'),
})

export const predictAnswer = z.object({
  model: z.string(),
  version: z.int(),
  service: z.string(),
  ...moment,
  types,
  outputTypes: types,
  predictions: z.array(named).describe('In the order of the entities'),
  outputStatuses: z
    .array(z.record(z.string(), z.literal('INVALID')))
    .optional()
    .describe('Only where an output is NaN or an infinity, which JSON cannot say'),
  features: z.array(named).optional(),
  statuses: z.array(statuses).optional(),
  eventTimes: z.array(times).optional(),
})

export const eventsAnswer = z.object({
  source: z.string(),
  accepted: z.int(),
  duplicates: z.int(),
  online: z.boolean().optional().describe('Whether the online views have the events'),
  token: z.string().describe('For "after": an answer that holds what was pushed'),
  requestId,
})

const tensor = z.looseObject({ name: z.string() })

const versionFields = {
  version: z.int(),
  service: z.string(),
  serviceFingerprint: z.string(),
  sha256: z.string(),
  sizeBytes: z.int(),
  createdAt: z.string(),
  inputs: z.array(tensor),
  outputs: z.array(tensor),
  metadata: z.record(z.string(), z.unknown()),
  metrics: z.record(z.string(), z.number()).describe('What it was judged by'),
  params: z.record(z.string(), z.unknown()).describe('What it was trained with'),
  dataset: z.string().nullable().describe('The id of the training set that it was made of'),
  gitCommit: z.string().nullable(),
  pushedBy: z.string().nullable(),
  aliases: z.array(z.string()).describe('Those that point at it'),
}

const modelFields = {
  model: z.string(),
  service: z.string(),
  outputs: z.array(z.looseObject({ name: z.string(), type: z.string() })),
  version: z.int().nullable().describe('The version that answers a request which names none'),
  aliases: z.record(z.string(), z.int()).describe('By name: the version that it points at'),
  versions: z.array(z.looseObject(versionFields)),
}

export const modelAnswer = z.looseObject({ ...modelFields, requestId })
export const modelsAnswer = z.object({ models: z.array(z.looseObject(modelFields)), requestId })

const origin = z.looseObject({ id: z.string(), fingerprint: z.string(), retired: z.boolean().describe('Whether it was pruned since') })
export const modelVersionAnswer = z.looseObject({
  model: z.string(),
  ...versionFields,
  lineage: z.object({
    dataset: z.looseObject({ id: z.string(), sameService: z.boolean().nullable() }).nullable(),
    service: origin,
    views: z.array(origin),
    onDemand: z.array(origin),
    sources: z.array(z.looseObject({ name: z.string() })),
  }),
  requestId,
})

export const aliasChangeAnswer = z.object({
  model: z.string(),
  alias: z.string(),
  from: z.int().nullable().describe('What it pointed at before; of a first champion, the version that answered until then'),
  to: z.int().nullable(),
  changed: z.boolean().describe('False where it was so already'),
  revision: z.int().describe("The registry's, afterwards"),
  servers: z
    .object({ asked: z.int(), loaded: z.int() })
    .optional()
    .describe('How many servers were asked to load the version before the alias was changed, and how many had'),
  inForce: z.boolean().describe('False, with status 202, where the change is made but this server has not loaded what it points at yet'),
  requestId,
})

export const modelHistoryAnswer = z.object({
  model: z.string(),
  events: z.array(
    z.object({
      id: z.int(),
      model: z.string(),
      action: z.enum(['push', 'promote', 'rollback', 'remove']),
      alias: z.string().nullable(),
      from: z.int().nullable(),
      to: z.int().nullable(),
      actor: z.string(),
      reason: z.string().nullable(),
      at: z.string(),
    }),
  ),
  requestId,
})

export const auditAnswer = z.object({
  records: z.array(
    z.object({
      id: z.int(),
      at: z.string(),
      actor: z.string().describe('The id of an API key, "http" where the server has none, or user@host'),
      actorName: z.string().nullable().describe('The name of the key'),
      action: z.string(),
      subject: z.string(),
      before: z.unknown(),
      after: z.unknown(),
      reason: z.string().nullable(),
      requestId: z.string().nullable(),
    }),
  ),
  next: z.int().nullable().describe('For `before`, to read on; null: there is no more'),
  requestId,
})

const backfillFields = {
  id: z.int(),
  view: z.string(),
  state: z.enum(['running', 'done', 'failed', 'cancelled']),
}

export const backfillAnswer = z.looseObject({ ...backfillFields, requestId })
export const backfillsAnswer = z.object({ backfills: z.array(z.looseObject(backfillFields)), requestId })

export const liveAnswer = z.object({ live: z.literal(true) })
export const readyAnswer = z.object({
  ready: z.boolean(),
  failing: z.array(z.string()).optional().describe('The parts for which it is not ready, by name'),
  degraded: z.array(z.string()).optional().describe('The parts of which something is amiss all the same, by name'),
  reasons: z.array(z.string()).optional().describe('Why it is not ready: for this machine and keys of scope admin'),
  warnings: z.array(z.string()).optional().describe('What is amiss all the same: for this machine and keys of scope admin'),
})

const explainedRow = z.looseObject({ eventTime: z.string().nullable(), knownTime: z.string().nullable(), visibleAt: z.string().nullable() })

export const explainAnswer = z.looseObject({
  asOf: z.string(),
  views: z.array(
    z.looseObject({
      view: z.string(),
      source: z.string(),
      key: named,
      rows: z.object({ visible: z.int(), notYetVisible: z.int(), dropped: z.int() }),
      notYetVisible: z.array(explainedRow).describe('Those that are visible soonest'),
      features: z.array(
        z.looseObject({
          feature: z.string(),
          value: z.unknown(),
          status: z.string(),
          kind: z.enum(['latest', 'window', 'lifetime']),
          winner: explainedRow.nullable().optional().describe('Of a latest value'),
          beaten: z
            .array(explainedRow.extend({ why: z.string() }))
            .optional()
            .describe('What the winner beat, greatest first'),
          span: z.object({ from: z.string(), to: z.string() }).optional().describe('Of a window: the event times that it covers'),
          counted: z.int().optional(),
          newest: z.array(explainedRow).optional().describe('Of what is counted, the newest'),
        }),
      ),
    }),
  ),
  requestId,
})

/** Of every error, in the house's own shape. */
export const errorBody = z.object({
  error: z.object({
    code: z.string().describe('What programs should look at'),
    message: z.string().describe('What failed, the offender in quotes, what to do'),
    details: z.record(z.string(), z.unknown()),
    requestId,
  }),
})
export const oipErrorBody = z.object({ error: z.string() })
export const feastErrorBody = z.string().describe('JSON in a text: { "module", "class", "message" }')
