import { z } from 'zod'
import type { StoredSpine } from '../spine/spine.ts'
import type { SpineDigest } from '../spine/spine-hash.ts'
import type { SpineRange } from '../datasets/dataset-parts.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import type { JoinSummary } from '../join.ts'
import type { ReadFiles } from '../source-files/stored-files.ts'
import { within } from '../datasets/dataset-manifest.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'

/** The job kind of exports in parts. */
export const exportKind = 'export' satisfies JobKindName

const micros = z.number().nullable()

export const exportSpec = z.object({
  /** The id of the training set. */
  id: z.string(),
  /** RFC 3339. */
  createdAt: z.string(),
  service: z.object({ id: z.string(), fingerprint: z.string() }),
  recipe: z.object({
    spine: z.union([
      z.object({ file: z.string() }),
      z.object({ sql: z.string() }),
      z.object({ rowsOf: z.string(), from: z.number(), to: z.number() }),
    ]),
    time: z.string().nullable(),
    order: z.enum(['given', 'values']),
    sample: z.object({ fraction: z.number(), seed: z.number() }).nullable(),
    rule: z.object({ knowledge: z.enum(['bitemporal', 'latest']), freshness: z.enum(['served', 'ideal']) }),
    asOf: z.enum(['at', 'before']),
    knownBefore: micros,
    arrivedBefore: micros,
    columns: z.array(z.string()).nullable(),
    dropIncomplete: z.boolean(),
    format: z.enum(['parquet', 'csv', 'jsonl']),
  }),
  /** The number of files, or the greatest number of spine rows in each. */
  parts: z.union([z.object({ count: z.number() }), z.object({ rows: z.number() })]),
  /** The absolute path of the folder, or its URL in object storage, without a slash at its end. */
  out: z.string(),
  overwrite: z.boolean(),
})
export type ExportSpec = z.infer<typeof exportSpec>

/** Data that the parts share. */
export interface ExportPlan {
  /** In the table `exportTable` of its job. */
  readonly spine: Omit<StoredSpine, 'table'>
  /** The `xmin` of the first snapshot: all transactions below it are settled. */
  readonly arrivedBefore: number
  /** The Parquet files behind the rows below it. */
  readonly files: readonly ReadFiles[]
  /** The possible label leaks, a sentence each; null: the check is still to be done. */
  readonly unchecked: readonly string[] | null
  /** The topmost folder that was made for it; null: all existed. */
  readonly made: string | null
}

/** A part of the files, or the manifest's facts about the spine and the sources. */
export type ExportChunk = { readonly part: number; readonly parts: number; readonly range: SpineRange } | { readonly facts: true }

export type ExportResult = WrittenExportPart | ExportFacts

export interface WrittenExportPart extends WrittenFile {
  /** Its name in the folder of the export. */
  readonly file: string
  readonly range: SpineRange
  readonly missing: { readonly rows: number; readonly byFeature: Readonly<Record<string, number>> }
}

export interface ExportFacts {
  readonly digest: SpineDigest
  readonly leftOut: Pick<JoinSummary, 'droppedRows' | 'heldBackRows'>
  readonly unchecked: readonly string[]
}

/** The table of the spine of a job, in the schema of Lockstep. */
export function tableName(job: number): string {
  return `export_${job}`
}

/** The table of the spine, quoted, with its schema. */
export function exportTable(job: number): string {
  return `"lockstep"."${tableName(job)}"`
}

/** The folder where files are written, under unique names, until all parts are complete. */
export function exportFolder(out: string, job: number): string {
  return within(out, `.export-${job}`)
}

/** The file with the statistics of a part. They may hold text that JSON in a database cannot, and be large. */
export function statisticsOfPart(file: string): string {
  return `${file}.statistics.json`
}

export function partPathOf(
  { out, recipe }: Pick<ExportSpec, 'out'> & { readonly recipe: Pick<ExportSpec['recipe'], 'format'> },
  part: number,
): string {
  return within(out, `part-${String(part).padStart(5, '0')}.${recipe.format}`)
}
