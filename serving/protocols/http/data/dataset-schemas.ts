import { z } from 'zod'
import { isRecord } from '../../../../kernel/is-record.ts'
import type { DatasetManifest } from '../../../../offline/datasets/dataset-manifest.ts'
import { momentSchema, nameSchema } from '../../../features/request-schema.ts'
import { dryRunQuery, queryFlag } from '../request/change-schemas.ts'
import { requestId } from '../response/response-schemas.ts'

/** What the routes of training sets take and answer. */

const spine = z.union([
  z.strictObject({ sql: z.string().min(1).describe('A query') }),
  z.strictObject({ upload: z.string().describe('The id of an upload: a Parquet, CSV or JSON lines file') }),
  z.strictObject({
    rowsOf: nameSchema.describe('A view: the rows of its source, each at the moment when it becomes visible'),
    from: momentSchema.describe('The first moment, RFC 3339'),
    to: momentSchema.describe('The moment before which it ends, RFC 3339'),
  }),
])

export const beginDatasetBody = z.strictObject({
  service: nameSchema.describe('The feature service: a name, or a name and version'),
  spine: spine.describe('The rows to compute features for: { "sql" }, { "upload" } or { "rowsOf", "from", "to" }'),
  parts: z.int().min(1).max(99_999).optional().describe('The number of files. Default: 1'),
  rowsPerPart: z.int().min(1).optional().describe('Instead of "parts": the maximum number of rows of a file'),
  format: z.enum(['parquet', 'csv', 'jsonl']).optional().describe('The format of the files. Default: parquet'),
  time: z.string().optional().describe("The spine's time column, if it has several"),
  columns: z.array(z.string()).optional().describe('The columns of the spine to copy. Default: all'),
  sample: z.number().gt(0).max(1).optional().describe('Use this share of the rows, the same rows each time'),
  seed: z.int().min(0).optional().describe('The seed that selects the sample. Default: 0'),
  asOf: z
    .enum(['at', 'before'])
    .optional()
    .describe('Whether rows count that become visible at exactly the time of a spine row. Default: at'),
  knowledge: z.enum(['bitemporal', 'latest']).optional().describe('Whether only what was known at the time counts. Default: bitemporal'),
  freshness: z.enum(['served', 'ideal']).optional().describe('Whether values are as fresh as the schedules allow. Default: served'),
  knownBefore: momentSchema.optional().describe('Ignore rows that were known at this moment or later'),
  dropIncomplete: z.boolean().optional().describe('Drop rows that lack a required feature. Default: keep them, with null'),
})
export type NewDataset = z.output<typeof beginDatasetBody>

export const beginDatasetAnswer = z.object({
  job: z.int().describe('The job that writes the files: GET /v1/jobs/{job}'),
  id: z.string().describe('The id of the training set, which is there when the job is done'),
  service: z.string().describe('The feature service with its version'),
  requestId,
})

export const datasetFields = {
  id: z.string().describe('Its id'),
  service: z.string().describe('The feature service'),
  fingerprint: z.string().describe('The fingerprint of the service'),
  path: z.string().describe('What was asked for: a file, or a folder of files. Of a split set, no file has this path'),
  paths: z.array(z.string()).readonly().describe('Where its rows are: the file, the folder, or each file of a split set'),
  rows: z.int().describe('The number of rows'),
  createdAt: z.string().describe('When it was written, RFC 3339'),
}

export const datasetsAnswer = z.object({ datasets: z.array(z.object(datasetFields)), requestId })
export const datasetAnswer = z.object({
  ...datasetFields,
  files: z.array(
    z.object({
      name: z.string().describe('The name of the file'),
      url: z.string().describe('The path from which it can be downloaded'),
      rows: z.int().describe('The number of rows'),
      bytes: z.int().describe('Its size'),
      sha256: z.string().describe('The SHA-256 of the file, hex'),
    }),
  ),
  manifest: z
    .custom<DatasetManifest>((json) => isRecord(json) && isRecord(json['file']))
    .meta({
      type: 'object',
      additionalProperties: true,
      description: 'How it was made, as "lockstep dataset show" prints it',
    }),
  requestId,
})

export const deleteDatasetQuery = dryRunQuery.extend({ files: queryFlag.describe('Deletes its files, too') })
export const deletedDatasetAnswer = z.object({
  id: z.string().describe('Its id'),
  files: z.array(z.string()).describe('The deleted files'),
  all: z
    .array(z.object({ path: z.string().describe('The path on the server'), bytes: z.int().describe('Its size') }))
    .describe('All its files'),
  dryRun: z.boolean().describe('Whether nothing was deleted'),
  requestId,
})
