import { z } from 'zod'
import type { ApiKey } from '../../../registry/keys/api-keys.ts'
import { keysRevision, listKeys } from '../../../registry/keys/api-keys.ts'
import { scopes } from '../../../registry/keys/scope.ts'
import { readActions, readAudit } from '../../../runtime/audit.ts'
import type { AuditData } from '../contract/audit.ts'
import { audit as auditContract } from '../contract/audit.ts'
import { keys as keysContract } from '../contract/keys.ts'
import { readModel } from '../read-model.ts'
import { pageSize } from './paged.ts'

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

/** Another one once the key is revoked, or is rotated and so expires. */
export function keyRevision({ expiresAt, revokedAt, replacedBy }: Pick<ApiKey, 'expiresAt' | 'revokedAt' | 'replacedBy'>): string {
  return `${expiresAt?.getTime() ?? 'always'}.${revokedAt?.getTime() ?? 'valid'}.${replacedBy ?? 'last'}`
}
