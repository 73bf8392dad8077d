import { z } from 'zod'
import { formatTimestamp } from '../../../kernel/time.ts'
import { summaryOf } from '../../../monitoring/alerts/alert-message.ts'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import { listKeys } from '../../../registry/keys/api-keys.ts'
import { scopes } from '../../../registry/keys/scope.ts'
import { readAudit } from '../../../runtime/audit.ts'
import { readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { AlertsData } from '../contract/alerts.ts'
import { alerts as alertsContract } from '../contract/alerts.ts'
import type { Link } from '../contract/answer.ts'
import type { AuditData } from '../contract/audit.ts'
import { audit as auditContract } from '../contract/audit.ts'
import { jobs as jobsContract } from '../contract/jobs.ts'
import { keys as keysContract } from '../contract/keys.ts'
import { readModel } from '../read-model.ts'

const pageSize = 50

/** A page after another one: an offset, as these lists have what runs or fires first. */
const paged = z.object({ cursor: z.coerce.number().int().min(0).max(100_000).optional() })

export const jobsModel = readModel({
  path: '/jobs',
  scope: 'ui:read',
  query: paged,
  data: jobsContract,
  async read({ db, query: { cursor = 0 } }) {
    const all = await readJobs(db, { limit: cursor + pageSize + 1 })
    const jobs = all.slice(cursor, cursor + pageSize).map((job) => ({
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
      canCancel: job.state === 'running',
    }))
    return { data: { jobs, cursor: nextCursor(all.length, cursor) } }
  },
})

export const alertsModel = readModel({
  path: '/alerts',
  scope: 'ui:read',
  query: paged,
  data: alertsContract,
  async read({ db, deps, now, isPast, query: { cursor = 0 } }) {
    const window = isPast ? { from: now, to: now + 1 } : undefined
    const all = await readAlerts(db, { limit: cursor + pageSize + 1, window })
    const { models, views } = deps.catalog()
    const linkOf = ({ subject, monitor }: Alert): Link | null => {
      if (models.has(subject)) return { kind: 'model', id: subject }
      if ([...views.keys()].some((id) => id === subject)) return { kind: 'view', id: subject }
      const watched = monitor.replace(/^default:/, '')
      return models.has(watched) ? { kind: 'model', id: watched } : null
    }
    const alerts = all.slice(cursor, cursor + pageSize).map((alert): AlertsData['alerts'][number] => {
      const { id, monitor, check, subject, severity, state, startedWith, result } = alert
      return {
        id: String(id),
        monitor,
        check,
        subject,
        severity,
        state,
        silencedUntil: alert.silencedUntil?.toISOString() ?? null,
        says: summaryOf({ monitor, check, subject, cause: startedWith.cause, event: 'firing' }),
        cause: startedWith.cause,
        runbook: alert.runbook,
        startedAt: formatTimestamp(alert.started),
        resolvedAt: alert.resolved === null ? null : formatTimestamp(alert.resolved),
        value: result.value,
        threshold: result.threshold,
        n: result.n,
        link: linkOf(alert),
      }
    })
    return { data: { alerts, cursor: nextCursor(all.length, cursor) } }
  },
})

export const keysModel = readModel({
  path: '/keys',
  scope: 'ui:admin',
  data: keysContract,
  async read({ db }) {
    const keys = (await listKeys(db)).map((key) => ({
      id: key.id,
      name: key.name,
      scopes: [...key.scopes],
      createdBy: null,
      createdAt: key.createdAt.toISOString(),
      lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
      expiresAt: key.expiresAt?.toISOString() ?? null,
      revokedAt: key.revokedAt?.toISOString() ?? null,
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
  async read({ db, query: { who, what, cursor } }) {
    const text = (value: unknown): string | null => (value === null || value === undefined ? null : JSON.stringify(value))
    const found = await readAudit(db, { who: who || undefined, what: what || undefined, before: cursor, limit: pageSize + 1 })
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

function nextCursor(read: number, cursor: number): string | null {
  return read > cursor + pageSize ? String(cursor + pageSize) : null
}
