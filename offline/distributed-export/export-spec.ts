import { join } from 'node:path'
import { z } from 'zod'
import type { StoredSpine } from '../spine/spine.ts'
import type { SpineDigest } from '../spine/spine-hash.ts'
import type { SpineRange } from '../dataset-parts.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import type { JoinSummary } from '../join.ts'

/** The kind of jobs that exports in parts are. */
export const exportKind = 'export'

const micros = z.number().nullable()

export const exportSpec = z.object({
  /** Of the training set that it makes. */
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
    sample: z.object({ fraction: z.number(), seed: z.number(), by: z.literal('row') }).nullable(),
    rule: z.object({ knowledge: z.enum(['bitemporal', 'latest']), freshness: z.enum(['served', 'ideal']) }),
    asOf: z.enum(['at', 'before']),
    knownBefore: micros,
    arrivedBefore: micros,
    columns: z.array(z.string()).nullable(),
    dropIncomplete: z.boolean(),
    format: z.enum(['parquet', 'csv', 'jsonl']),
  }),
  /** How many files, or how many rows of the spine for each at most. */
  parts: z.union([z.object({ count: z.number() }), z.object({ rows: z.number() })]),
  /** The folder, by its complete path. */
  out: z.string(),
  overwrite: z.boolean(),
})
export type ExportSpec = z.infer<typeof exportSpec>

/** What the parts share. */
export interface ExportPlan {
  /** In the table `exportTable` of its job. */
  readonly spine: Omit<StoredSpine, 'table'>
  /** The `xmin` of the first snapshot, below which all is settled. */
  readonly arrivedBefore: number
  /** What could not be checked for leaks of labels; null: it is still to be checked. */
  readonly unchecked: readonly string[] | null
  /** The topmost folder that was made for it; null: all were there. */
  readonly made: string | null
}

/** A part of the files; or what the manifest says of the spine and the sources. */
export type ExportChunk = { readonly part: number; readonly parts: number; readonly range: SpineRange } | { readonly facts: true }

export type ExportResult = WrittenPart | ExportFacts

export interface WrittenPart extends WrittenFile {
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

/** The same, quoted, with its schema. */
export function exportTable(job: number): string {
  return `"lockstep"."${tableName(job)}"`
}

/** Where files are written, under names that nobody else takes, until all parts are there. */
export function exportFolder(out: string, job: number): string {
  return join(out, `.export-${job}`)
}

/** Where the statistics of a part lie: they may hold texts that no JSON of a database does, and much of them. */
export function statisticsOfPart(file: string): string {
  return `${file}.statistics.json`
}

export function partPathOf({ out, recipe }: Pick<ExportSpec, 'out' | 'recipe'>, part: number): string {
  return join(out, `part-${String(part).padStart(5, '0')}.${recipe.format}`)
}
