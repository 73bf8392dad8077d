import { z } from 'zod'
import { entryKinds } from '../../../../registry/find/entry.ts'
import { nodeKinds } from '../../../../registry/find/graph.ts'
import { fields } from '../../../../registry/find/search.ts'
import { requestId } from '../response/response-schemas.ts'

/** What the routes of `find-routes.ts` answer, for the OpenAPI document. */

const kind = z.enum(entryKinds).describe('The kind of the definition')
const name = z.string().describe('Its name')
const description = z.string().nullable().describe('The description of its definition')
const owner = z.string().nullable().describe('The person or team to ask')
const tags = z.array(z.string()).describe('Its tags')
const type = z.string().describe('Its type, such as float64 or list(string)')
const node = {
  kind: z.enum(nodeKinds).describe('The kind of the definition'),
  name: z.string().describe('Its name, with its version if it has one'),
}
const uses = z.array(z.object(node))
const columns = z.array(z.object({ name, type }))

const entry = z.object({
  kind,
  name,
  version: z.int().nullable().describe('The newest version; null for kinds without versions'),
  versions: z.array(z.int()).describe('All versions that are not pruned, ascending'),
  description,
  owner,
  tags,
  about: z.string().describe('A short description of its content'),
  features: z.int().nullable().describe('The number of its features; null for kinds without features'),
  usedBy: uses.describe('The definitions that use it directly'),
})
const next = z.string().nullable().describe('Send it as `cursor` to read the next page; null: there are no more')

/** @param plural the member with the entries */
export function entriesAnswer(plural: string): z.ZodObject {
  return z.object({ [plural]: z.array(entry).describe('By name, each once'), next, requestId })
}

const top = z.array(
  z.object({ value: z.union([z.string(), z.boolean()]).describe('A value'), count: z.int().describe('How often it occurs') }),
)
const statistics = z.looseObject({
  dataset: z.string().describe('The id of the training set'),
  createdAt: z.string().describe('When the training set was made, RFC 3339'),
  count: z.int().describe('How many rows have a value'),
  nulls: z.int().describe('How many rows have none'),
  nullShare: z.number().describe('The share of rows without a value, 0 to 1'),
  numbers: z
    .looseObject({
      mean: z.number().nullable().describe('The mean of finite values'),
      stddev: z.number().nullable().describe('The standard deviation of a sample (n - 1)'),
      min: z.union([z.number(), z.string()]).nullable().describe('The least value'),
      max: z.union([z.number(), z.string()]).nullable().describe('The greatest value'),
      quantiles: z.record(z.string(), z.number()).describe('By share: 0.5 is the median'),
    })
    .optional()
    .describe('Only for numbers'),
  values: z
    .looseObject({ top: top.describe('The most frequent values') })
    .optional()
    .describe('Only for texts and booleans'),
  times: z
    .object({ min: z.string().nullable().describe('The earliest'), max: z.string().nullable().describe('The latest') })
    .optional()
    .describe('Only for timestamps, RFC 3339'),
})

const feature = z.object({
  name,
  type,
  view: z.string().optional().describe('In a service: the view that it comes from'),
  feature: z.string().optional().describe('In a service: its name in the view'),
  computed: z.string().describe('How it is computed, such as "mean of delay over 6h"'),
  default: z.unknown().describe('The value of a missing feature; null: it stays null'),
  required: z.boolean().describe('Whether a missing value refuses the request'),
  statistics: statistics.nullable().describe('Its values in the newest training set that has it; null: there is none'),
})

const online = z.object({
  ready: z.boolean().describe('Whether the online store holds the view completely'),
  problem: z.string().nullable().describe('Why not, and what to do'),
  freshness: z
    .looseObject({
      newestRowSeconds: z.number().nullable().describe('How long ago the newest of its rows happened'),
      lastRunSeconds: z.number().nullable().describe('How long ago its last run ended'),
      lag: z
        .object({
          rows: z.int().describe('The rows that it lacks; 10,000 means that many or more'),
          transactions: z.int().describe('The transactions that wrote them'),
          seconds: z.number().describe('How long they may have waited, at most'),
        })
        .nullable()
        .describe('How far it is behind its source; null: unknown'),
      late: z.string().nullable().describe('Why it is later than its definition allows; null: it is not'),
    })
    .nullable()
    .describe('How fresh it is; null: the store does not answer'),
})

const exampleSchema = z
  .object({
    method: z.literal('POST').describe('The method of the request'),
    path: z.string().describe('The path of the request'),
    body: z.record(z.string(), z.unknown()).describe('The body of the request'),
    problem: z.string().nullable().describe('Why it is not answered now; null: it was tried, and it is'),
  })
  .nullable()
  .describe('A request that can be sent as it stands; null: there is none')

export const definitionAnswer = z.object({
  kind,
  name,
  version: z.int().nullable().describe('The shown version; null for kinds without versions'),
  versions: z
    .array(z.object({ version: z.int().describe('Its number'), retired: z.boolean().describe('Whether it was pruned') }))
    .describe('All versions, ascending'),
  retired: z.boolean().describe('Whether the shown version was pruned'),
  fingerprint: z.string().describe('Equal fingerprints mean equal values'),
  description,
  owner,
  tags,
  uses: uses.describe('The definitions that it uses directly'),
  usedBy: uses.describe('The definitions that use it directly'),
  key: columns.optional().describe('Only for an entity: the parts of its key'),
  source: z
    .object({
      table: z.string().nullable().describe('Your table that it reads'),
      sql: z.string().nullable().describe('Your query that it reads. If both are null, Lockstep created its table'),
      key: z.record(z.string(), z.string()).describe('The column of each part of a key'),
      eventTime: z.string().describe('The column with the event time'),
      known: z.string().nullable().describe('The column with the known time'),
      columns: columns.describe('Its other columns'),
      stream: z.string().nullable().describe('The stream that feeds it'),
      files: z.array(z.string()).describe('The Parquet files that feed it, as declared; empty if none do'),
    })
    .optional()
    .describe('Only for a source'),
  view: z
    .object({
      entity: z.string().describe('The entity that its features describe'),
      key: columns.describe('The parts of its key'),
      source: z.string().describe('The source whose rows it reads'),
      availability: z.string().describe('continuous, or a schedule and its delay'),
      online: z.boolean().describe('Whether the online store keeps it'),
      maxLag: z.string().nullable().describe('How far it may be behind its source'),
      derived: columns.describe('The columns that its transform adds'),
    })
    .optional()
    .describe('Only for a feature view'),
  onDemand: z
    .object({
      request: columns.describe('The request data that it takes'),
      inputs: z
        .array(z.object({ name: z.string().describe('Its name in the transform'), view: z.string().describe('The view') }))
        .describe('The views whose features it takes'),
    })
    .optional()
    .describe('Only for an on-demand view'),
  takes: columns.optional().describe('Only for a service or model: the fields that a request has for each entity, key and request data'),
  features: z.array(feature).optional().describe('Only for a view or service: its features, in its order'),
  model: z
    .object({
      service: z.string().describe('The service that it takes'),
      outputs: columns.describe('Its outputs'),
      aliases: z.record(z.string(), z.int()).describe('The version of each alias'),
      slices: z
        .record(
          z.string(),
          z.object({
            column: z.string().describe('The column that rows are split by'),
            at: z.array(z.number()).exactOptional().describe('Rising edges of bins'),
            values: z
              .record(z.string(), z.array(z.union([z.string(), z.number(), z.boolean()])))
              .exactOptional()
              .describe('The values of each group'),
          }),
        )
        .describe('Declared splits of its figures, by name'),
    })
    .optional()
    .describe('Only for a model'),
  outcome: z
    .object({
      model: z.string().describe('The model whose predictions it judges'),
      output: z.string().nullable().describe('The output that it judges; null: none'),
      source: z.string().describe('The source whose rows it reads'),
      type,
      column: z.string().nullable().describe('The column with its value; null: a function computes it'),
      match: z.string().describe('How a row finds its prediction'),
      within: z.string().describe('How long after a prediction it may happen'),
      missing: z.unknown().describe('The outcome of a prediction without a row: "exclude", or a value'),
      figures: z.record(z.string(), z.string()).describe('Business figures: by name, the column'),
    })
    .optional()
    .describe('Only for an outcome'),
  experiment: z
    .object({
      model: z.string().describe('The model whose versions it compares'),
      unit: z.string().describe('The field of the entities that is assigned, or request-id'),
      variants: z
        .array(
          z.object({
            name: z.string().describe('Its name'),
            serves: z.string().describe('The version or alias that it serves'),
            weight: z.number().describe('Its share of the units in the experiment'),
          }),
        )
        .describe('The control first'),
      coverage: z.number().describe('The share of the units that are in the experiment'),
      layer: z
        .object({
          name: z.string().describe('Its name'),
          from: z.number().describe('Where the part begins'),
          to: z.number().describe('Where it ends'),
        })
        .nullable()
        .describe('The part of a layer that it uses; null: it is independent'),
      metrics: z
        .array(
          z.object({
            name: z.string().describe('Its name'),
            role: z.enum(['primary', 'guardrail', 'secondary']).describe('The role of the metric'),
            computed: z.string().describe('How it is computed'),
          }),
        )
        .describe('The primary one first'),
      covariates: z.array(z.string()).describe('Features as of the exposure that narrow the intervals'),
      slices: z.array(z.string()).describe('Features as of the exposure that make groups'),
      analysis: z
        .object({
          method: z.enum(['sequential', 'fixed', 'bayesian']).describe('Its method'),
          alpha: z.number().describe('The rate of false alarms'),
          correction: z.enum(['holm', 'bh', 'none']).describe('For many metrics'),
          units: z.int().nullable().describe('How many units the plan expects; null: not stated'),
          prior: z
            .object({ mean: z.number().describe('Its mean'), deviation: z.number().describe('Its standard deviation') })
            .nullable()
            .describe('Only for bayesian: the prior of the relative effect'),
        })
        .describe('How it is analysed'),
    })
    .optional()
    .describe('Only for an experiment'),
  batch: z
    .object({
      model: z.string().describe('The model that predicts'),
      version: z.union([z.int(), z.string()]).nullable().describe('Its version or alias; null: the champion'),
      spine: z
        .union([z.object({ sql: z.string().describe('A query') }), z.object({ file: z.string().describe('A file') })])
        .describe('The rows to predict for'),
      time: z.string().nullable().describe("The spine's time column; null: its only one"),
      asOf: z.enum(['at', 'before']).describe('Whether rows count that become visible at exactly the time of a spine row'),
      columns: z.array(z.string()).nullable().describe('The columns of the spine to copy; null: all'),
      id: z.string().describe('The id of each batch'),
      out: z.string().describe('The folder or table of each batch'),
      format: z.enum(['parquet', 'csv', 'jsonl', 'table']).describe('The format of the files; table: the rows of a table'),
      mode: z.enum(['replace', 'append', 'upsert']).describe('For a table: what happens to the rows that it already has'),
      key: z.array(z.string()).nullable().describe('By which columns upsert finds rows; null: the entity keys'),
      onlineMicros: z
        .number()
        .nullable()
        .describe('How long the predictions answer requests from the online store, microseconds after the time of their row; null: not'),
      rowsPerPart: z.int().describe('The maximum number of rows of a file'),
      maxRefused: z
        .union([z.object({ share: z.number().describe('A share') }), z.object({ rows: z.int().describe('A number') })])
        .nullable()
        .describe('The rows without a prediction at which a batch fails; null: no limit'),
      minRows: z.int().nullable().describe('The rows that the spine must have; null: any number'),
      overwrite: z.boolean().describe('Whether a batch replaces another one in its folder'),
      schedule: z.string().describe('Five fields of cron, in UTC'),
    })
    .optional()
    .describe('Only for a batch with a schedule'),
  pipeline: z
    .object({
      source: z.string().describe('The source whose stream it reads'),
      model: z.string().describe('The model that predicts'),
      version: z.union([z.int(), z.string()]).nullable().describe('Its version or alias; null: each message is routed'),
      sink: z.string().describe('Where answers go'),
      entities: z
        .array(z.object({ field: z.string().describe('A field that the service needs'), column: z.string().describe('Its column') }))
        .describe('Where the fields of the service come from'),
      key: z.array(z.string()).describe('The columns whose values are the key of an answer'),
      group: z.string().describe('The consumer group'),
      ledger: z.boolean().describe('Whether answers are kept in PostgreSQL'),
    })
    .optional()
    .describe('Only for a pipeline'),
  training: z
    .object({
      model: z.string().describe('The model that it trains'),
      spine: z.object({ sql: z.string().describe('A query, with {from} and {to}') }).describe('The rows to train and to test on'),
      label: z.string().describe('The column that the model learns to predict'),
      output: z.string().nullable().describe('The output that is compared with the label; null: the model has one'),
      time: z.string().nullable().describe('The time column of the spine; null: it has one'),
      asOf: z.enum(['at', 'before']).describe('Whether rows count that become visible at exactly the time of a spine row'),
      windowMicros: z.number().describe('How long the interval of the rows is, microseconds'),
      matureMicros: z.number().describe('How long before the run the interval ends, microseconds'),
      testMicros: z.number().describe('How much of the end of the interval is for the test, microseconds'),
      format: z.enum(['parquet', 'csv', 'jsonl']).describe('The format of the files that the trainer gets'),
      trainer: z.string().describe('The name of the trainer'),
      timeoutMicros: z.number().describe('How long the trainer may run, microseconds'),
      parameters: z.record(z.string(), z.unknown()).describe('What the trainer gets'),
      require: z
        .array(
          z.union([
            z.object({ metric: z.string(), atLeast: z.number() }),
            z.object({ metric: z.string(), atMost: z.number() }),
            z.object({ metric: z.string(), against: z.literal('champion'), worseByAtMost: z.number() }),
          ]),
        )
        .describe('What a version must reach to be registered'),
      deploy: z
        .union([z.enum(['nothing', 'promote']), z.object({ rollout: z.string() })])
        .describe('What becomes of a version that was registered'),
      schedule: z.string().nullable().describe('Five fields of cron, in UTC; null: it runs when asked to'),
    })
    .optional()
    .describe('Only for a training'),
  online: online.optional().describe('Only for a view in the online store'),
  rows: z
    .object({
      rows: z.int().describe('The number of rows'),
      exact: z.boolean().describe('Whether they were counted, not estimated'),
      bytes: z.number().describe('The bytes of their values, estimated'),
    })
    .nullable()
    .optional()
    .describe('Only for a source: its rows; null: its table cannot be read'),
  code: z.string().nullable().optional().describe('Only for a view or outcome: its code; null: it has none'),
  broken: z.string().nullable().describe('Why it cannot be used; null: it can'),
  example: exampleSchema,
  requestId,
})

export const searchAnswer = z.object({
  results: z
    .array(
      z.object({
        kind: z.enum([...entryKinds, 'feature']).describe('The kind of what was found'),
        name,
        view: z.string().nullable().describe('For a feature: the newest version of its view'),
        matched: z.enum(fields).describe('Where the text was found'),
        text: z.string().describe('That text; of a long one, the part around the match'),
        about: z.string().describe('For a feature: how it is computed; else a short description'),
        description,
        owner,
      }),
    )
    .describe('Best first'),
  requestId,
})

export const lineageAnswer = z.object({
  of: z.object({ ...node, retired: z.boolean().describe('Whether it was pruned or deleted') }).describe('The requested definition'),
  nodes: z
    .array(z.object({ ...node, retired: z.boolean().describe('Whether it was pruned or deleted') }))
    .describe('All that were reached, the asked one included, inputs first'),
  edges: z
    .array(z.object({ from: z.string().describe('The definition that is used'), to: z.string().describe('The definition that uses it') }))
    .describe('Each end is a kind and a name, such as "view airport_delays@1"'),
  requestId,
})
