import { z } from 'zod'
import { lastInstant } from '../../kernel/due-moment.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Interval } from '../../kernel/values/interval-text.ts'
import { fillInterval } from '../../kernel/values/interval-text.ts'
import { parseSchedule } from '../../kernel/schedule.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { outputFields } from '../../registry/define/batch-output-fields.ts'
import type { ScheduledBatchSpec } from '../../registry/scheduled-batch-spec.ts'
import { scheduledBatchKind } from '../../registry/scheduled-batch-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { Logger } from '../../runtime/log.ts'
import type { BatchTools } from './batch-models.ts'
import type { BatchJobs } from './batch-job.ts'
import type { BatchRequest } from './batch-spec.ts'
import { beginBatch } from './begin-batch.ts'

const specSchema = z.object({ batch: z.string() })

/**
 * Begins each declared batch at the instants of its schedule, whichever worker asks. The batch is a separate job, so a
 * long one does not delay the next. After missed instants only the newest batch begins.
 */
export function scheduledBatches({ db, catalog, store, log }: BatchTools, kind: BatchJobs['kind']): JobKind<z.output<typeof specSchema>> {
  return {
    name: scheduledBatchKind,
    spec: specSchema,
    retries: 10,
    backoffSeconds: { from: 10, to: 600 },
    // a spine may be written a while after the instant
    isFinal: (error) => error instanceof LockstepError && error.code !== 'FILE_UNREADABLE' && !isTemporary(error),
    async schedules() {
      const { batches } = await catalog()
      return [...batches].map(([name, { spec }]) => ({ key: name, subject: name, cron: spec.schedule, spec: { batch: name } }))
    },
    async run({ spec: { batch }, moment }, _chunk, { signal, worker, attempt }) {
      const known = await catalog()
      const declared = known.batches.get(batch)
      // pruned meanwhile
      if (declared === undefined || moment === null) return null
      const { id, request } = batchOfInterval(declared.spec, intervalBefore(declared.spec.schedule, moment))
      if (attempt === 0) await logSkipped(db, log, declared.spec, moment)
      const beginner = { db, catalog: known, kind, worker, by: { actor: worker }, store, schedule: batch, signal }
      const { job } = await beginBatch(beginner, id, request)
      return { job: job.id }
    },
    describe: ({ subject }) => `the start of the batch "${subject}"`,
  }
}

/** Logs the instants between that of the schedule's job before and this one. No batch begins for them. */
async function logSkipped({ kysely }: Database, log: Logger, { name, schedule }: ScheduledBatchSpec, moment: number): Promise<void> {
  const before = await kysely
    .selectFrom('lockstep.jobs')
    .select('moment')
    .where('kind', '=', scheduledBatchKind)
    .where('key', '=', name)
    .where('moment', '<', String(moment))
    .orderBy('moment', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (before === undefined) return
  const { at } = parseSchedule(schedule)
  const first = at(Number(before.moment) + 1)
  let [count, last] = [0, first]
  for (let instant = first; instant < moment; instant = at(instant + 1)) [count, last] = [count + 1, instant]
  if (count === 0) return
  log.warn({ batch: name, count, first: formatTimestamp(first), last: formatTimestamp(last) }, 'instants of a schedule were skipped')
}

/**
 * From the previous instant of a schedule to this one. The first instant of all ends an interval that begins in 1970.
 */
export function intervalBefore(schedule: string, moment: number): Interval {
  return { from: Math.max(0, lastInstant({ kind: 'schedule', schedule, delayMicros: 0 }, moment - 1)), to: moment }
}

/** The batch of one interval. */
export function batchOfInterval(spec: ScheduledBatchSpec, interval: Interval): { readonly id: string; readonly request: BatchRequest } {
  const { name: _, schedule: __, id, spine, out, format, mode, key, ...rest } = spec
  const filled = 'sql' in spine ? { sql: fillInterval(spine.sql, interval) } : { file: fillInterval(spine.file, interval) }
  return {
    id: fillInterval(id, interval),
    request: {
      ...rest,
      ...outputFields({ out: fillInterval(out, interval), format, mode, key }),
      spine: filled,
      knownBefore: null,
    },
  }
}
