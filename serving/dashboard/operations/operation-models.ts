import { z } from 'zod'
import type { ApiKey } from '../../../registry/keys/api-keys.ts'
import { keysRevision, listKeys } from '../../../registry/keys/api-keys.ts'
import { scopes } from '../../../registry/keys/scope.ts'
import { readActions, readAudit } from '../../../runtime/audit.ts'
import { doingText } from '../../../runtime/jobs/job-json.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { AuditData } from '../contract/audit.ts'
import { audit as auditContract } from '../contract/audit.ts'
import { jobs as jobsContract } from '../contract/jobs.ts'
import { keys as keysContract } from '../contract/keys.ts'
import { readModel } from '../read-model.ts'
import { nextCursor, pageSize, paged } from './paged.ts'

export const jobsModel = readModel({
  path: '/jobs',
  scope: 'ui:read',
  query: paged.extend({ id: z.coerce.number().int().min(1).optional() }),
  data: jobsContract,
  async read({ db, now, isPast, query: { cursor, id } }) {
    const all = await readJobs(db, { id, limit: pageSize + 1, after: cursor, ...(isPast ? { until: now } : {}) })
    const shown = all.slice(0, pageSize)
    const jobs = shown
      .map((job) => (isPast ? jobAt(job, new Date(now / 1000)) : job))
      .map((job) => ({
        id: String(job.id),
        kind: job.kind,
        subject: job.subject,
        state: job.state,
        chunks: job.chunks === 0 ? null : job.chunks,
        chunksDone: job.chunksDone,
        workers: job.workers.length,
        secondsLeft: job.secondsLeft,
        doing: job.doing === null ? null : doingText(job.doing),
        error: job.error?.message ?? null,
        submittedBy: job.submittedBy,
        submittedAt: job.submittedAt.toISOString(),
        finishedAt: job.finishedAt?.toISOString() ?? null,
        canCancel: !isPast && job.state === 'running',
        canRetry: !isPast && (job.state === 'failed' || job.state === 'cancelled'),
        revision: jobRevision(job),
      }))
    const last = shown.at(-1)
    const notes = isPast ? ['Runs that were deleted since are not shown: of monitors and rollouts, only the newest is kept.'] : []
    return { data: { jobs, cursor: last === undefined ? null : nextCursor(all.length, last.id, last.state === 'running') }, notes }
  },
})

export const keysModel = readModel({
  path: '/keys',
  scope: 'ui:admin',
  query: z.object({ cursor: z.string().max(100).optional() }),
  data: keysContract,
  async read({ db, now, isPast, query: { cursor } }) {
    const at = new Date(now / 1000)
    // before the list: a key that is made meanwhile is a change that the page may not have seen
    const revision = String(await keysRevision(db))
    const all = (await listKeys(db)).filter(({ createdAt }) => !isPast || createdAt <= at)
    const until = (moment: Date | null): string | null => (moment === null || (isPast && moment > at) ? null : moment.toISOString())
    const from = 1 + all.findIndex(({ id }) => id === cursor)
    const shown = all.slice(from, from + pageSize)
    const keys = shown.map((key) => ({
      id: key.id,
      name: key.name,
      scopes: [...key.scopes],
      createdBy: null,
      createdAt: key.createdAt.toISOString(),
      // only the newest use is known
      lastUsedAt: until(key.lastUsedAt),
      expiresAt: key.expiresAt?.toISOString() ?? null,
      revokedAt: until(key.revokedAt),
      revision: keyRevision(key),
    }))
    return { data: { keys, scopes: [...scopes], revision, cursor: all.length > from + pageSize ? (shown.at(-1)?.id ?? null) : null } }
  },
})

export const auditModel = readModel({
  path: '/audit',
  scope: 'ui:read',
  query: z.object({
    who: z.string().max(200).optional(),
    what: z.string().max(200).optional(),
    since: z.iso.date().optional(),
    reads: z.enum(['with', 'without']).default('with'),
    cursor: z.coerce.number().int().min(1).optional(),
  }),
  data: auditContract,
  isPersonal: true,
  async read({ db, now, isPast, query: { who, what, since, reads, cursor } }) {
    const text = (value: unknown): string | null => (value === null || value === undefined ? null : JSON.stringify(value))
    const found = await readAudit(db, {
      who: who || undefined,
      what: what || undefined,
      since: since === undefined ? undefined : new Date(since),
      without: reads === 'without' ? readActions : [],
      until: isPast ? new Date(now / 1000) : undefined,
      before: cursor,
      limit: pageSize + 1,
    })
    const records = found.slice(0, pageSize).map((record): AuditData['records'][number] => ({
      id: String(record.id),
      at: record.at.toISOString(),
      who: record.actorName ?? record.actor,
      what: record.action,
      subject: record.subject,
      reason: record.reason,
      before: text(record.before),
      after: text(record.after),
    }))
    return { data: { records, cursor: found.length > pageSize ? (records.at(-1)?.id ?? null) : null } }
  },
})

/** Another one once the job has ended, and once an ended one is retried. No earlier one returns. */
export function jobRevision({ state, retries, finishedAt }: Job): string {
  return `${state}.${retries}.${finishedAt?.getTime() ?? 'open'}`
}

/** Another one once the key is revoked, or is rotated and so expires. */
export function keyRevision({ expiresAt, revokedAt, replacedBy }: Pick<ApiKey, 'expiresAt' | 'revokedAt' | 'replacedBy'>): string {
  return `${expiresAt?.getTime() ?? 'always'}.${revokedAt?.getTime() ?? 'valid'}.${replacedBy ?? 'last'}`
}

/** A job as it was at a moment. Its progress at that moment is not kept. */
export function jobAt(job: Job, at: Date): Job {
  if (job.finishedAt !== null && job.finishedAt <= at) return job
  return { ...job, state: 'running', chunks: 0, chunksDone: 0, workers: [], secondsLeft: null, doing: null, error: null, finishedAt: null }
}
