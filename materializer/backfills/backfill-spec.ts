import { z } from 'zod'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'

/** The kind of jobs that backfills are. */
export const backfillKind = 'backfill' satisfies JobKindName

export const backfillSpec = z.object({
  view: z.string(),
  /** Epoch microseconds: of the entities with an event in [from, to) alone; null: of all. */
  events: z.object({ from: z.number(), to: z.number() }).nullable(),
  /** How many were asked for; null: by the number of rows. */
  chunks: z.number().nullable(),
})
export type BackfillSpec = z.infer<typeof backfillSpec>

const runSchema = z.object({ id: z.string(), startedAt: z.coerce.date() })

/** The plan that all chunks share. */
export const backfillPlan = z.object({
  fingerprint: z.string(),
  /** The moment of all chunks, epoch microseconds. */
  moment: z.number(),
  /** Its line in `materialization_runs`. */
  run: runSchema,
  /** The run that began the view in the store. */
  origin: runSchema,
})
export type BackfillPlan = z.infer<typeof backfillPlan>
