import { z } from 'zod'
import type { JobKindName } from '../runtime/jobs/job-kinds.ts'

/** The job kind that begins batches by schedules. */
export const scheduledBatchKind = 'scheduled-batch' satisfies JobKindName

const text = z.string().min(1).max(10_000)

/**
 * Batch inference at the instants of a schedule. Texts may contain the interval that an instant ends (`fillInterval`).
 */
export const scheduledBatchSpec = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/),
  model: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/),
  /** A version or an alias; null: the champion, or the newest version. */
  version: z.union([z.int().min(1), text]).nullable(),
  spine: z.union([z.strictObject({ sql: text }), z.strictObject({ file: text })]),
  time: text.nullable(),
  asOf: z.enum(['at', 'before']),
  columns: z.array(text).nullable(),
  id: text,
  /** The URL of a folder, without a slash at its end; or a table: `postgres:SCHEMA.TABLE`. */
  out: text,
  format: z.enum(['parquet', 'csv', 'jsonl', 'table']),
  mode: z.enum(['replace', 'append', 'upsert']).default('replace'),
  key: z.array(text).nullable().default(null),
  onlineMicros: z.number().nullable().default(null),
  rowsPerPart: z.int().min(1),
  maxRefused: z.union([z.strictObject({ share: z.number().min(0).max(1) }), z.strictObject({ rows: z.int().min(0) })]).nullable(),
  /** How many rows the spine must have; null: any number. */
  minRows: z.int().min(1).nullable().default(null),
  overwrite: z.boolean(),
  /** Five fields of cron, in UTC. */
  schedule: text,
})
export type ScheduledBatchSpec = z.output<typeof scheduledBatchSpec>
