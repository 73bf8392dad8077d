import { z } from 'zod'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import type { ReadFiles } from '../../offline/source-files/stored-files.ts'
import type { StoredSpine } from '../../offline/spine/spine.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'

/** The job kind of batch inference. */
export const batchKind = 'batch' satisfies JobKindName

/** The job id of a batch that one process runs without a job. */
export const noJob = 0

/** The names of all outputs. Readers of folders pass over names that begin with `_`. */
export const manifestName = '_manifest.json'
export const successName = '_SUCCESS'
export const claimName = '_claim.json'

/** Columns that every batch has beside those of the spine and the model. */
export const ordinalName = '_ordinal'
export const statusName = '_status'
/** The column with the id of the batch, in tables. */
export const batchName = '_batch'

/** The request for a batch. Another request under the same id is a conflict. */
const batchRequest = z.object({
  model: z.string(),
  /** A number or an alias; null: the champion, or the newest version. */
  version: z.union([z.number(), z.string()]).nullable(),
  spine: z.union([
    z.object({ file: z.string() }),
    z.object({ sql: z.string() }),
    z.object({ rowsOf: z.string(), from: z.number(), to: z.number() }),
  ]),
  time: z.string().nullable(),
  asOf: z.enum(['at', 'before']),
  /** Epoch microseconds; null: none. */
  knownBefore: z.number().nullable(),
  /** The spine's columns to carry; null: all. */
  columns: z.array(z.string()).nullable(),
  /** The URL of a folder, without a slash at its end; or a table: `postgres:SCHEMA.TABLE`. */
  out: z.string(),
  format: z.enum(['parquet', 'csv', 'jsonl', 'table']),
  /**
   * For a table: whether its rows replace all others, are added to those of other batches, or replace those of their
   * key.
   */
  mode: z.enum(['replace', 'append', 'upsert']).default('replace'),
  /** For the mode `upsert`: columns of the spine; null: the keys of the service. */
  key: z.array(z.string()).nullable().default(null),
  rowsPerPart: z.number().int().min(1),
  /** How long the predictions answer requests from the online store, after the time of their row; null: they do not. */
  onlineMicros: z.number().nullable().default(null),
  /** How many rows may have no prediction; null: any number. */
  maxRefused: z.union([z.object({ share: z.number() }), z.object({ rows: z.number() })]).nullable(),
  /** How many rows the spine must have; null: any number. */
  minRows: z.number().int().min(1).nullable().default(null),
  overwrite: z.boolean(),
})
export type BatchRequest = z.infer<typeof batchRequest>

/** A request with all that may change pinned. */
export const batchSpec = z.object({
  id: z.string(),
  /** RFC 3339. */
  createdAt: z.string(),
  request: batchRequest,
  version: z.number(),
  /** The SHA-256 of the model's bytes. */
  sha256: z.string(),
  service: z.object({ id: z.string(), fingerprint: z.string() }),
  /** Rows of all transactions below it are read, and no others. */
  arrivedBefore: z.number(),
  /** The ETag of a spine's file; null: the spine is no file. */
  etag: z.string().nullable(),
  /** The columns by which the mode `upsert` finds rows. */
  key: z.array(z.string()).default([]),
  /** The identity of the online store that gets the predictions; null: none. */
  store: z.string().nullable().default(null),
  /** The declared batch whose schedule began it; null: a person or a program did. */
  schedule: z.string().nullable().default(null),
})
export type BatchSpec = z.infer<typeof batchSpec>

/** The plan that all parts share. */
export interface BatchPlan {
  /** In the table `batchTable` of its job, ordered by key. */
  readonly spine: Omit<StoredSpine, 'table'>
  readonly parts: number
  /** The Parquet files behind the rows that arrived before the batch began. */
  readonly sourceFiles: readonly ReadFiles[]
}

export interface BatchChunk {
  readonly part: number
  /** Rows of the spine, from 0. */
  readonly range: { readonly from: number; readonly to: number }
}

export interface BatchPart {
  readonly name: string
  readonly rows: number
  readonly refused: number
  readonly bytes: number
  readonly sha256: string
  readonly etag: string
  readonly cpuSeconds: number
  /** Not a number of its own, because the job sums numbers up. */
  readonly memory: { readonly peakMegabytes: number }
}

/** The record of a finished batch, written beside its parts. */
export interface BatchManifest {
  readonly id: string
  readonly job: number
  readonly createdAt: string
  readonly model: string
  readonly version: number
  readonly modelSha256: string
  readonly service: { readonly id: string; readonly fingerprint: string }
  readonly spine: BatchRequest['spine'] & { readonly etag?: string }
  readonly time: string
  readonly asOf: 'at' | 'before'
  /** RFC 3339; null: no such bound. */
  readonly knownBefore: string | null
  readonly arrivedBefore: number
  readonly columns: readonly { readonly name: string; readonly type: string; readonly from: 'spine' | 'model' | 'batch' }[]
  readonly format: BatchRequest['format']
  readonly rows: number
  readonly refused: number
  readonly parts: readonly Omit<BatchPart, 'cpuSeconds' | 'memory'>[]
  readonly bytes: number
  /** The CPU time of the processes of Lockstep, without the database. */
  readonly cpuSeconds: number
  readonly rowsPerCpuSecond: number
  /** The most that one of these processes had in memory. */
  readonly peakMegabytes: number
  /** The Parquet files behind the rows of sources that such files feed. Absent: there are none. */
  readonly sourceFiles?: readonly ReadFiles[]
  /** The engine that sorted the rows of files, and these files. Absent: the database. */
  readonly engine?: DatasetManifest['engine']
}

/** The result of a finished batch in the history of jobs, without its rows. */
export type BatchResult = Pick<BatchManifest, 'rows' | 'refused' | 'bytes' | 'cpuSeconds' | 'rowsPerCpuSecond' | 'peakMegabytes'> & {
  readonly parts: number
  /** A hash of the hashes of the parts, in order: equal for equal content. */
  readonly sha256: string
}

/** The table of the spine of a job, in the schema of Lockstep. */
export function batchTable(job: number): string {
  return `"lockstep"."batch_${job}"`
}

export function partName(part: number, format: BatchRequest['format']): string {
  return `part-${String(part).padStart(5, '0')}${format === 'table' ? '' : `.${format}`}`
}
