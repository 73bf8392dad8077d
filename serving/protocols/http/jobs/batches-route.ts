import { z } from 'zod'
import { parseDuration } from '../../../../kernel/values/duration.ts'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { outputFields } from '../../../../registry/define/batch-output-fields.ts'
import { cancelJob, notRunning } from '../../../../runtime/jobs/end-job.ts'
import { maxListedJobs } from '../../../../runtime/jobs/read-jobs.ts'
import { createLogger } from '../../../../runtime/log.ts'
import { processName } from '../../../../runtime/process-name.ts'
import { createBatchJobs } from '../../../batch/batch-job.ts'
import { batchJson, listBatches, readBatch } from '../../../batch/batch-json.ts'
import type { BatchRequest } from '../../../batch/batch-spec.ts'
import { beginBatch } from '../../../batch/begin-batch.ts'
import { momentSchema, nameSchema } from '../../../features/request-schema.ts'
import { actorOf, jsonAnswer } from '../call.ts'
import { reasonSchema } from '../request/change-schemas.ts'
import { durationQuery } from '../request/check-query.ts'
import { asRefusal } from '../response/refusal.ts'
import { jobState } from './job-schemas.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const objectUrl = z.string().regex(/^(s3|gs):\/\/[^/]+\/.+/, 'must be a URL such as s3://bucket/key')

const body = z.strictObject({
  model: nameSchema.describe('The model'),
  version: z
    .union([z.int().min(1), z.string()])
    .optional()
    .describe('A version or an alias. Default: the champion, or the newest version'),
  spine: z
    .union([
      z.strictObject({ sql: z.string().min(1).describe('A query') }),
      z.strictObject({ file: objectUrl.describe('The URL of a Parquet, CSV or JSON lines file in object storage') }),
    ])
    .describe('The rows to predict for'),
  out: z
    .string()
    .regex(
      /^(?:(?:s3|gs):\/\/[^/]+\/.|postgres:)/,
      'must be the URL of a folder in object storage, such as s3://bucket/scores, or a table, such as postgres:ml.scores',
    )
    .describe('The URL of a folder in object storage, or a table of the database: postgres:SCHEMA.TABLE'),
  mode: z
    .enum(['replace', 'append', 'upsert'])
    .optional()
    .describe(
      'Of a table: whether the rows replace all others, are added to those of other batches, or replace those of their key. Default: replace',
    ),
  key: z
    .array(z.string())
    .optional()
    .describe("With the mode upsert: the key, as columns of the spine. Default: the entity keys of the model's service"),
  time: z.string().optional().describe("The spine's time column, if it has several"),
  asOf: z
    .enum(['at', 'before'])
    .optional()
    .describe('Whether rows count that become visible at exactly the time of a spine row. Default: at'),
  knownBefore: momentSchema.optional().describe('Ignore rows that were known at this moment or later'),
  columns: z.array(z.string()).optional().describe('The columns of the spine to copy. Default: all'),
  format: z.enum(['parquet', 'csv', 'jsonl']).optional().describe('The format of the files. Default: parquet'),
  online: durationQuery().describe(
    'How long the predictions answer requests with "from": "batch" from the online store, after the time of their row: 26h. Default: not',
  ),
  rowsPerPart: z.int().min(1).optional().describe('The maximum number of rows of a file. Default: 100000'),
  maxRefused: z
    .union([z.strictObject({ share: z.number().min(0).max(1) }), z.strictObject({ rows: z.int().min(0) })])
    .optional()
    .describe('Fail if more rows have no prediction: { "share" } or { "rows" }. Default: no limit'),
  minRows: z.int().min(1).optional().describe('Fail if the spine has fewer rows. Default: it may have none'),
  overwrite: z.boolean().optional().describe('Replace a batch that is in the folder'),
  reason: reasonSchema,
})

const batchFields = {
  id: z.string().describe('The id of the batch'),
  job: z.int().describe('The job that does it: GET /v1/jobs/{job}'),
  state: jobState.describe('How far it is'),
  model: z.string().describe('The model'),
  version: z.int().describe('The version, pinned when the batch began'),
  service: z.string().describe('The feature service with its version'),
  out: z.string().describe('The folder or table'),
  format: z.string().describe('The format of the files, or table'),
  parts: z.int().describe('The number of files; 0 until it is planned'),
  partsDone: z.int().describe('How many of them are written'),
  rows: z.int().describe('The rows of these'),
  refused: z.int().describe('How many of these rows have no prediction'),
  secondsLeft: z.number().nullable().describe('At the pace so far; null: unknown'),
  workers: z.array(z.string()).describe('Who works on it'),
  error: z
    .object({ code: z.string().describe('Its code'), message: z.string().describe('The failure, and what to do') })
    .nullable()
    .describe('Why it failed'),
  result: z
    .object({
      rows: z.int().describe('The number of rows'),
      refused: z.int().describe('How many have no prediction'),
      parts: z.int().describe('The number of files'),
      sha256: z.string().describe('The hash of the hashes of the files: equal for equal content'),
      bytes: z.int().describe('Their size'),
      cpuSeconds: z.number().describe('The CPU time of the processes of Lockstep, without the database'),
      rowsPerCpuSecond: z.number().describe('Rows in a second of that time'),
      peakMegabytes: z.number().describe('The most memory that one process had'),
    })
    .nullable()
    .describe('The result; null until the batch is done'),
  submittedBy: z.string().describe('Who began it'),
  submittedAt: z.string().describe('When it began, RFC 3339'),
  finishedAt: z.string().nullable().describe('When it ended, RFC 3339'),
}
export const batchAnswer = z.object({ ...batchFields, requestId })
export type BatchAnswer = Omit<z.output<typeof batchAnswer>, 'requestId' | 'workers'> & { readonly workers: readonly string[] }
export const beginBatchAnswer = z.object({
  ...batchFields,
  joined: z.boolean().describe('Whether the batch ran or was done before'),
  requestId,
})
export const batchesAnswer = z.object({ batches: z.array(z.object(batchFields)), requestId })

const listQuery = z.object({
  model: z.string().optional().describe('Only batches of this model'),
  state: jobState.optional().describe('Only batches in this state'),
  limit: z.coerce.number().int().min(1).max(maxListedJobs).optional().describe('The maximum number. Default: 100'),
})
const cancelQuery = z.object({ reason: reasonSchema })

/** Batch inference. Workers do the work, or with the embedded database the server. */
export const batchRoutes: readonly Route[] = [
  checkedRoute({
    method: 'PUT',
    path: '/v1/batches/:id',
    scope: 'admin',
    summary: 'Begin a batch, or join the one of the same id',
    description:
      'The caller chooses the id. Sending the same request again is safe: it joins the batch that runs, or shows the one that is done. A batch that failed or was cancelled begins again.',
    tag: 'Batches',
    body,
    example: {
      model: 'delay',
      spine: { sql: 'select origin as airport, date from flights' },
      out: 's3://predictions/delays/day=2001-03-01',
      maxRefused: { share: 0.01 },
    },
    status: 202,
    answer: beginBatchAnswer,
    async handle(call, deps, { body: { reason, ...given } }) {
      const request = requestOf(given)
      const db = deps.upkeep.database()
      const catalog = deps.catalog()
      const { kind } = createBatchJobs({ db, catalog: () => Promise.resolve(catalog), log: createLogger('silent') })
      const store = () => Promise.resolve(deps.upkeep.store())
      const beginner = { db, catalog, kind, worker: processName(), by: actorOf(call, reason), store }
      const { job, joined } = await asRefusal(() => beginBatch(beginner, call.params['id'] ?? '', request))
      return jsonAnswer(call, { ...batchJson(job), joined }, 202)
    },
  }),
  {
    method: 'GET',
    path: '/v1/batches/:id',
    scope: 'read',
    summary: 'One batch: its state, progress, rows and cost',
    tag: 'Batches',
    answer: batchAnswer,
    async handle(call, deps) {
      return jsonAnswer(call, batchJson(await readBatch(deps.upkeep.database(), call.params['id'] ?? '')))
    },
  },
  checkedRoute({
    method: 'GET',
    path: '/v1/batches',
    scope: 'read',
    summary: 'The batches, running ones first',
    tag: 'Batches',
    query: listQuery,
    answer: batchesAnswer,
    async handle(call, deps, { query }) {
      const batches = await listBatches(deps.upkeep.database(), query)
      return jsonAnswer(call, { batches })
    },
  }),
  checkedRoute({
    method: 'DELETE',
    path: '/v1/batches/:id',
    scope: 'admin',
    summary: 'Cancel a batch; a worker removes its files',
    tag: 'Batches',
    query: cancelQuery,
    answer: batchAnswer,
    async handle(call, deps, { query: { reason } }) {
      const [db, id] = [deps.upkeep.database(), call.params['id'] ?? '']
      const { id: job, state } = await readBatch(db, id)
      if (!(await cancelJob(db, job, actorOf(call, reason)))) throw notRunning('batch', id, { id, state })
      return jsonAnswer(call, batchJson(await readBatch(db, id)))
    },
  }),
]

function requestOf({ version, knownBefore, rowsPerPart = 100_000, ...given }: Omit<z.output<typeof body>, 'reason'>): BatchRequest {
  const {
    model,
    spine,
    out,
    time = null,
    asOf = 'at',
    columns = null,
    format,
    mode,
    key,
    online,
    maxRefused = null,
    minRows = null,
    overwrite = false,
  } = given
  return {
    model,
    version: version ?? null,
    spine,
    time,
    asOf,
    knownBefore: knownBefore === undefined ? null : parseTimestamp(knownBefore),
    columns,
    ...outputFields({ out, format, mode, key }),
    onlineMicros: online === undefined ? null : parseDuration(online, 'The field "online"'),
    rowsPerPart,
    maxRefused,
    minRows,
    overwrite,
  }
}
