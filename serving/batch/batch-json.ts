import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { maxListedJobs, readJobs } from '../../runtime/jobs/read-jobs.ts'
import type { BatchResult } from './batch-spec.ts'
import { batchKind, batchSpec } from './batch-spec.ts'
import { newestJob } from './begin-batch.ts'

export type BatchJson = ReturnType<typeof batchJson>

/** A batch as `--json` and HTTP show it. `rows` and `refused` count those of finished parts. */
export function batchJson(job: Job) {
  const spec = batchSpec.parse(job.spec)
  const { model, out, format } = spec.request
  return {
    id: spec.id,
    job: job.id,
    state: job.state,
    model,
    version: spec.version,
    service: spec.service.id,
    out,
    format,
    parts: job.chunks,
    partsDone: job.chunksDone,
    rows: job.totals['rows'] ?? 0,
    refused: job.totals['refused'] ?? 0,
    secondsLeft: job.secondsLeft,
    workers: job.workers,
    error: job.error === null ? null : { code: job.error.code, message: job.error.message },
    /** The result, if the batch is done. */
    result: job.state === 'done' ? (job.result as BatchResult) : null,
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}

/** @throws LockstepError `NOT_FOUND` */
export async function readBatch(db: Database, id: string): Promise<Job> {
  const job = await newestJob(db, id)
  if (job !== null) return job
  throw new LockstepError('NOT_FOUND', `There is no batch "${id}"; "lockstep batch list" shows all.`, { details: { id } })
}

export interface BatchFilter {
  readonly model?: string | undefined
  readonly state?: Job['state'] | undefined
  /** Default: 100. */
  readonly limit?: number | undefined
}

/** The newest run of each id: running ones first, then the newest. */
export async function listBatches(db: Database, { model, state, limit = 100 }: BatchFilter): Promise<BatchJson[]> {
  const jobs = await readJobs(db, { kind: batchKind, state, limit: maxListedJobs })
  const seen = new Set<string>()
  const newest = jobs.toSorted((a, b) => b.id - a.id).filter(({ subject }) => !seen.has(subject) && seen.add(subject).size > 0)
  const order = new Map(jobs.map(({ id }, i) => [id, i]))
  return newest
    .toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0))
    .map(batchJson)
    .filter((batch) => model === undefined || batch.model === model)
    .slice(0, limit)
}
