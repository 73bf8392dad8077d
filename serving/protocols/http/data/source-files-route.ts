import { z } from 'zod'
import { maxListedLoads, readLoads } from '../../../../offline/ingest/read-loads.ts'
import { readStoredFiles, storedFileJson } from '../../../../offline/source-files/stored-files.ts'
import { ingestOnce } from '../../../../offline/ingest/ingest-once.ts'
import { beginSourceSync } from '../../../../materializer/sources/sync-source.ts'
import { undoIngest } from '../../../../materializer/sources/undo-ingest.ts'
import { processName } from '../../../../runtime/process-name.ts'
import { actorOf, jsonAnswer, nameInPath } from '../call.ts'
import { reasonBody, reasonSchema } from '../request/change-schemas.ts'
import { asRefusal } from '../response/refusal.ts'
import { ingestAnswer, loadsAnswer, undoneIngestAnswer } from './event-schemas.ts'
import { requestId as requestIdField } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const ingestBody = z.strictObject({
  upload: z.string().describe('The id of the upload: a Parquet, CSV or JSON lines file, by the extension of its name'),
  every: z.int().min(1).optional().describe('Load only every n-th row'),
  key: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('The columns that identify a row: only rows with new values in them are loaded'),
  again: z.boolean().optional().describe('Load the file even if it was loaded before'),
})

const syncBody = z.strictObject({
  replace: z
    .enum(['none', 'changed', 'vanished'])
    .optional()
    .describe(
      'Files whose old rows are deleted: none, those that changed, or also those that do not exist any more. Changed files are loaded again. Default: none',
    ),
  reason: reasonSchema,
})
export const sourceSyncAnswer = z.object({
  job: z.int().describe('The job that loads the files: GET /v1/jobs/{job} shows its progress and its result'),
  source: z.string().describe('The source'),
  joined: z.boolean().describe('Whether such a sync of the source ran already'),
  requestId: requestIdField,
})

export const sourceFilesAnswer = z.object({
  source: z.string().describe('The source'),
  files: z
    .array(
      z.object({
        path: z.string().describe('The absolute path or the URL'),
        etag: z.string().describe('The ETag of the content that was loaded'),
        bytes: z.int().describe('The size of the file'),
        rows: z.int().describe('How many rows were loaded'),
        olderRows: z.int().describe('How many rows were left out, because they are before "from"'),
        bytesRead: z.int().describe('How many bytes were requested to read it'),
        from: z.string().nullable().describe('The "from" by which it was loaded; null: all rows were'),
        minEvent: z.string().nullable().describe('The first event time of its rows; null: it has none'),
        maxEvent: z.string().nullable().describe('The last event time of its rows; null: it has none'),
        syncedAt: z.string().describe('When it was loaded'),
        load: z.string().describe('The id of the load, for an undo'),
      }),
    )
    .describe('In the order of their paths; empty for a source that no Parquet files feed'),
  requestId: requestIdField,
})

const loadsQuery = z.object({
  source: z.string().optional().describe('Only those of this source'),
  before: z
    .string()
    .regex(/^[1-9]\d{0,17}$/, 'must be the id of a load')
    .optional()
    .describe('Only those older than the one with this id: `next` of the previous answer'),
  limit: z.coerce.number().int().min(1).max(maxListedLoads).optional().describe('The maximum number. Default: 100'),
})

/** How long transactions that were open before are waited for. */
const waitMs = 5_000

/** The routes that load files into the table of a source. */
export const sourceFileRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/loads',
    scope: 'read',
    summary: 'The files that were loaded into the tables of sources, newest first',
    tag: 'Events',
    query: loadsQuery,
    answer: loadsAnswer,
    async handle(call, deps, { query: filter }) {
      const found = await readLoads(deps.upkeep.database(), filter)
      // a source that was removed may still have loads
      if (filter.source !== undefined && filter.before === undefined && found.loads.length === 0) deps.catalog().source(filter.source)
      return jsonAnswer(call, found)
    },
  }),
  {
    method: 'GET',
    path: '/v1/sources/:name/files',
    scope: 'read',
    summary: 'The Parquet files that were loaded into a source that such files feed',
    tag: 'Events',
    answer: sourceFilesAnswer,
    async handle(call, deps) {
      const { name: source } = deps.catalog().source(nameInPath(call))
      const files = await readStoredFiles(deps.upkeep.database(), source)
      return jsonAnswer(call, { source, files: files.map(storedFileJson) })
    },
  },
  checkedRoute({
    method: 'POST',
    path: '/v1/sources/:name/sync',
    scope: 'admin',
    summary: 'Load the Parquet files of a source that are not loaded yet; /v1/jobs/{job} shows the progress',
    description:
      'Workers load the files, or with the embedded database the server. Each file is loaded once, in a transaction. If such a sync of the source is running, the request joins it.',
    tag: 'Events',
    body: syncBody,
    bodyOptional: true,
    example: { replace: 'changed', reason: 'the files of March were corrected' },
    status: 202,
    answer: sourceSyncAnswer,
    async handle(call, deps, { body: { replace = 'none', reason } }) {
      const catalog = deps.catalog()
      const { name: source } = catalog.source(nameInPath(call))
      const tools = { db: deps.upkeep.database(), store: deps.upkeep.store(), catalog: () => Promise.resolve(catalog) }
      const request = { replace, by: actorOf(call, reason), worker: processName() }
      const { id: job, joined } = await asRefusal(() => beginSourceSync(tools, source, request))
      return jsonAnswer(call, { job, source, joined }, 202)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/sources/:name/files',
    scope: 'admin',
    summary: "Load an uploaded file into a source's table: all rows or none",
    description: 'A file is loaded into a table only once, by its SHA-256. An error names the row and the column.',
    tag: 'Events',
    body: ingestBody,
    example: { upload: '6f1c…' },
    answer: ingestAnswer,
    async handle(call, deps, { body: { upload: id, every = 1, key, again = false } }) {
      const source = deps.catalog().ingestSource(nameInPath(call))
      const result = await deps.uploads.use(id, async ({ path, name }) => {
        const { actor, requestId } = actorOf(call)
        const options = { every, again, actor, requestId, recordedPath: name, ...(key === undefined ? {} : { key }) }
        return await asRefusal(() => ingestOnce(deps.upkeep.database(), source, path, options), path)
      })
      return jsonAnswer(call, result)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/sources/:name/files/:load/undo',
    scope: 'admin',
    summary: 'Undo a load of a file: delete its rows and rebuild the states of their entities',
    tag: 'Events',
    body: reasonBody,
    bodyOptional: true,
    answer: undoneIngestAnswer,
    async handle(call, deps, { body: { reason } }) {
      const catalog = deps.catalog()
      const { name: source } = catalog.source(nameInPath(call))
      const { database, store } = deps.upkeep
      const options = { source, moment: deps.clock(), waitMs, by: actorOf(call, reason), log: deps.log }
      const undone = await asRefusal(() => undoIngest(database(), store(), catalog, call.params['load'] ?? '', options))
      return jsonAnswer(call, undone)
    },
  }),
]
