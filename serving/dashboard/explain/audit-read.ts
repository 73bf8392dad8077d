import { createHmac } from 'node:crypto'
import { asRecord } from '../../../kernel/is-record.ts'
import type { AuditAction } from '../../../runtime/audit.ts'
import { recordAudit } from '../../../runtime/audit.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { Ask } from '../read-model.ts'

/** Writes down who saw the values of which entities. The log has hashes in place of their keys (`entityHash`). */
export async function auditRead(
  { db, session, requestId }: Pick<Ask, 'db' | 'session' | 'requestId'>,
  action: Extract<AuditAction, 'explain' | 'receipt'>,
  subject: string,
  { entities, at }: { readonly entities: readonly unknown[]; readonly at?: string | undefined },
): Promise<void> {
  const salt = await readSalt(db)
  const after = { entities: [...new Set(entities.map((entity) => hashOf(entity, salt)))], ...(at === undefined ? {} : { at }) }
  await recordAudit(db, { actor: session.actor, requestId }, { action, subject, after })
}

/**
 * The name of an entity in the audit log: the beginning of an HMAC-SHA-256 under the secret of this database. Someone
 * who sees the log cannot find an entity by trying keys.
 *
 * @param entity key columns and values, in any order: `{ airport: 'ATL' }`
 */
export async function entityHash(db: Pick<Database, 'kysely'>, entity: unknown): Promise<string> {
  return hashOf(entity, await readSalt(db))
}

type Salt = Awaited<ReturnType<typeof readSalt>>

async function readSalt({ kysely }: Pick<Database, 'kysely'>) {
  return (await kysely.selectFrom('lockstep.installation').select('salt').executeTakeFirstOrThrow()).salt
}

function hashOf(entity: unknown, salt: Salt): string {
  const columns = Object.entries(asRecord(entity)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  // a number and its text are the same key
  const text = JSON.stringify(columns.map(([name, value]) => [name, String(value)]))
  return createHmac('sha256', salt).update(text).digest('hex').slice(0, 16)
}
