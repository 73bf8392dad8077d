import { createHash } from 'node:crypto'
import type { AuditAction } from '../../../runtime/audit.ts'
import { recordAudit } from '../../../runtime/audit.ts'
import type { Ask } from '../read-model.ts'

/**
 * Writes down who saw the values of which entity. The log never has the key of an entity: it has the beginning of the
 * key's SHA-256, by which a known key can be looked for.
 */
export async function auditRead(
  { db, session, requestId }: Ask,
  action: Extract<AuditAction, 'explain' | 'receipt'>,
  subject: string,
  { entity, ...more }: { readonly entity: unknown; readonly at?: string },
): Promise<void> {
  const sha256 = createHash('sha256').update(JSON.stringify(entity)).digest('hex').slice(0, 16)
  await recordAudit(db, { actor: session.actor, requestId }, { action, subject, after: { entity: sha256, ...more } })
}
