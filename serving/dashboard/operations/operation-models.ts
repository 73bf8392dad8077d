import { z } from 'zod'
import { formatTimestamp } from '../../../kernel/time.ts'
import { summaryOf } from '../../../monitoring/alerts/alert-message.ts'
import type { CheckResult } from '../../../monitoring/alerts/check-kind.ts'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import { alertSubject, breachingColumns, modelOf } from '../../../monitoring/problems/alert-problem.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { listKeys } from '../../../registry/keys/api-keys.ts'
import { scopes } from '../../../registry/keys/scope.ts'
import { readAudit } from '../../../runtime/audit.ts'
import type { Job, ListPlace } from '../../../runtime/jobs/read-jobs.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { AlertsData } from '../contract/alerts.ts'
import { alerts as alertsContract } from '../contract/alerts.ts'
import type { AuditData } from '../contract/audit.ts'
import { audit as auditContract } from '../contract/audit.ts'
import { jobs as jobsContract } from '../contract/jobs.ts'
import { keys as keysContract } from '../contract/keys.ts'
import { readModel } from '../read-model.ts'

const pageSize = 50

/** A page after another one: the place of its last line. What runs or fires is first. */
const paged = z.object({
  cursor: z
    .string()
    .regex(/^[fr]\d{1,15}$/, 'must be the cursor of an earlier answer')
    .transform((text): ListPlace => ({ isFirst: text.startsWith('f'), id: Number(text.slice(1)) }))
    .optional(),
})

export const jobsModel = readModel({
  path: '/jobs',
  scope: 'ui:read',
  query: paged,
  data: jobsContract,
  async read({ db, now, isPast, query: { cursor } }) {
    const all = await readJobs(db, { limit: pageSize + 1, after: cursor, ...(isPast ? { until: now } : {}) })
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
        error: job.error?.message ?? null,
        submittedBy: job.submittedBy,
        submittedAt: job.submittedAt.toISOString(),
        finishedAt: job.finishedAt?.toISOString() ?? null,
        canCancel: !isPast && job.state === 'running',
        canRetry: !isPast && (job.state === 'failed' || job.state === 'cancelled'),
      }))
    const last = shown.at(-1)
    const notes = isPast ? ['Runs that were deleted since are not shown: of monitors and rollouts, only the newest is kept.'] : []
    return { data: { jobs, cursor: last === undefined ? null : nextCursor(all.length, last.id, last.state === 'running') }, notes }
  },
})

export const alertsModel = readModel({
  path: '/alerts',
  scope: 'ui:read',
  query: paged.extend({ id: z.coerce.number().int().min(1).optional() }),
  data: alertsContract,
  async read({ db, deps, now, isPast, query: { cursor, id: asked } }) {
    const window = isPast ? { from: now, to: now + 1 } : undefined
    const all = await readAlerts(db, { id: asked, limit: pageSize + 1, window, after: cursor })
    const shown = all.slice(0, pageSize)
    const last = shown.at(-1)
    const alerts = shown.map((alert): AlertsData['alerts'][number] => {
      const { id, monitor, check, subject, severity, startedWith, result } = alert
      const isOver = alert.resolved !== null && (!isPast || alert.resolved <= now)
      return {
        id: String(id),
        monitor,
        check,
        subject,
        severity,
        state: isOver ? 'resolved' : 'firing',
        silencedUntil: alert.silencedUntil?.toISOString() ?? null,
        says: summaryOf({ monitor, check, subject, cause: null, event: 'firing' }),
        cause: startedWith.cause,
        runbook: alert.runbook,
        startedAt: formatTimestamp(alert.started),
        resolvedAt: isOver && alert.resolved !== null ? formatTimestamp(alert.resolved) : null,
        fired: figuresOf(startedWith),
        // only the newest figures are kept, and those of when it fired
        newest: isPast ? null : figuresOf(result),
        link: alertSubject(deps.catalog(), alert),
        model: modelOf(deps.catalog(), monitor),
        features: featuresOf(deps.catalog(), alert, isPast ? [startedWith] : [startedWith, result]),
      }
    })
    return { data: { alerts, cursor: last === undefined ? null : nextCursor(all.length, last.id, last.state === 'firing') } }
  },
})

function figuresOf({ value, threshold, n }: CheckResult): AlertsData['alerts'][number]['fired'] {
  return { value, threshold, n }
}

/** The features of the watched model that breach in results. */
function featuresOf(
  catalog: Catalog,
  { check, monitor }: Alert,
  results: readonly CheckResult[],
): AlertsData['alerts'][number]['features'] {
  const model = catalog.models.get(modelOf(catalog, monitor) ?? '')
  if (model === undefined || check === 'predictions') return []
  const names = new Set(results.flatMap(({ evidence }) => breachingColumns(evidence).map(({ column }) => column)))
  const features = catalog.services.get(model.spec.service)?.features ?? []
  return features.filter(({ name }) => names.has(name)).map(({ name, view }) => ({ feature: name, view }))
}

export const keysModel = readModel({
  path: '/keys',
  scope: 'ui:admin',
  data: keysContract,
  async read({ db, now, isPast }) {
    const at = new Date(now / 1000)
    const all = (await listKeys(db)).filter(({ createdAt }) => !isPast || createdAt <= at)
    const until = (moment: Date | null): string | null => (moment === null || (isPast && moment > at) ? null : moment.toISOString())
    const keys = all.map((key) => ({
      id: key.id,
      name: key.name,
      scopes: [...key.scopes],
      createdBy: null,
      createdAt: key.createdAt.toISOString(),
      // only the newest use is known
      lastUsedAt: until(key.lastUsedAt),
      expiresAt: key.expiresAt?.toISOString() ?? null,
      revokedAt: until(key.revokedAt),
    }))
    return { data: { keys, scopes: [...scopes] } }
  },
})

export const auditModel = readModel({
  path: '/audit',
  scope: 'ui:read',
  query: z.object({
    who: z.string().max(200).optional(),
    what: z.string().max(200).optional(),
    cursor: z.coerce.number().int().min(1).optional(),
  }),
  data: auditContract,
  isPersonal: true,
  async read({ db, now, isPast, query: { who, what, cursor } }) {
    const text = (value: unknown): string | null => (value === null || value === undefined ? null : JSON.stringify(value))
    const found = await readAudit(db, {
      who: who || undefined,
      what: what || undefined,
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

function nextCursor(read: number, id: number, isFirst: boolean): string | null {
  return read > pageSize ? `${isFirst ? 'f' : 'r'}${id}` : null
}

/** A job as it was at a moment. Its progress at that moment is not kept. */
export function jobAt(job: Job, at: Date): Job {
  if (job.finishedAt !== null && job.finishedAt <= at) return job
  return { ...job, state: 'running', chunks: 0, chunksDone: 0, workers: [], secondsLeft: null, error: null, finishedAt: null }
}
