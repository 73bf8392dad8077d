import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/postgres/database.ts'

/**
 * The registry's revision. It grows with every change, so a server that sees a different number must reload. Cheap
 * enough to poll.
 */
export async function catalogRevision(db: Database): Promise<number> {
  return await readRevision(db.kysely)
}

export async function readRevision(handle: Kysely<LockstepTables>): Promise<number> {
  const row = await handle.selectFrom('lockstep.registry_state').select('revision').executeTakeFirst()
  return Number(row?.revision ?? 0)
}

/**
 * The notification channel of the registry. When a change commits, it carries the new revision. When an API key changes
 * or an entity is erased, it carries no revision.
 */
export const registryChannel = 'lockstep_registry'
export const erasedNotice = 'erased'

/** Makes servers drop what they hold of entities in memory. Within a transaction, this happens when it commits. */
export async function notifyErased(handle: Kysely<LockstepTables>): Promise<void> {
  await sql`select pg_notify(${registryChannel}, ${erasedNotice})`.execute(handle)
}

/**
 * Increments the revision, returns the new one, and notifies the listeners when the transaction commits. Call it in the
 * transaction that makes the change.
 */
export async function bumpRevision(handle: Kysely<LockstepTables>): Promise<number> {
  const row = await handle
    .updateTable('lockstep.registry_state')
    .set({ revision: sql<number>`revision + 1` })
    .returning('revision')
    .executeTakeFirstOrThrow()
  await sql`select pg_notify(${registryChannel}, ${String(row.revision)})`.execute(handle)
  return Number(row.revision)
}

/**
 * Allows one writer of the registry at a time: it waits for the others, and the lock is released when the transaction
 * ends.
 */
export async function lockRegistry(transaction: Kysely<LockstepTables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(${registryLock}::bigint)`.execute(transaction)
}

/** An arbitrary number that no other advisory lock uses. */
const registryLock = '5790216439021177'
