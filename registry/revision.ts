import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'

/**
 * The registry's revision: it grows with every change, so a server that sees another number has something to load.
 * Cheap enough to poll.
 */
export async function catalogRevision(db: Database): Promise<number> {
  return await readRevision(db.kysely)
}

export async function readRevision(handle: Kysely<LockstepTables>): Promise<number> {
  const row = await handle.selectFrom('lockstep.registry_state').select('revision').executeTakeFirst()
  return Number(row?.revision ?? 0)
}

/**
 * What is notified with the new revision when a change of the registry is committed, and without a revision when an API
 * key has changed or an entity is erased.
 */
export const registryChannel = 'lockstep_registry'
export const erasedNotice = 'erased'

/** Has servers forget what they hold of entities in memory. Within a transaction, once it is committed. */
export async function notifyErased(handle: Kysely<LockstepTables>): Promise<void> {
  await sql`select pg_notify(${registryChannel}, ${erasedNotice})`.execute(handle)
}

/**
 * Counts the revision up, returns the new one and tells whoever listens, once it counts. Within the transaction that
 * changes something.
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

/** One writer of the registry at a time: waits for the others, and lets go when the transaction ends. */
export async function lockRegistry(transaction: Kysely<LockstepTables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(${registryLock}::bigint)`.execute(transaction)
}

/** Any number that nobody else takes an advisory lock on. */
const registryLock = '5790216439021177'
