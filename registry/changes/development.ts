import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'

/** The comment on the schema `lockstep` of a database that may be changed in place. */
const mark = 'Lockstep development store: versions may change'

/** Marks a database that this process has just made, for `requireDevelopment`. */
export async function markDevelopment(db: Kysely<LockstepTables>): Promise<void> {
  await sql.raw(`comment on schema lockstep is '${mark}'`).execute(db)
}

/**
 * Requires that the database is a development store. In all others a version never changes.
 *
 * @throws LockstepError `FORBIDDEN`
 */
export async function requireDevelopment(db: Kysely<LockstepTables>): Promise<void> {
  const { rows } = await sql<{ comment: string | null }>`
    select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = 'lockstep'`.execute(db)
  if (rows[0]?.comment === mark) return
  throw new LockstepError(
    'FORBIDDEN',
    'This database is not a development store, so its versions never change. Use "lockstep dev", or declare a new version and apply it.',
  )
}

/**
 * Forgets the pushed versions of a model, so that its next push is version 1 again. No server notices before that push,
 * or before `bumpRevision`.
 *
 * @throws LockstepError `FORBIDDEN`
 */
export async function forgetModelVersions(db: Kysely<LockstepTables>, model: string): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    await requireDevelopment(transaction)
    await transaction.deleteFrom('lockstep.rollouts').where('model', '=', model).execute()
    await transaction.deleteFrom('lockstep.shadows').where('model', '=', model).execute()
    await transaction.deleteFrom('lockstep.model_pins').where('model', '=', model).execute()
    await transaction.deleteFrom('lockstep.model_aliases').where('model', '=', model).execute()
    await transaction.deleteFrom('lockstep.model_versions').where('model', '=', model).execute()
  })
}
