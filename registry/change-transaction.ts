import type { Kysely } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { lockRegistry } from './revision.ts'

/**
 * Makes a change of the registry in one transaction, with no other change meanwhile. A dry run makes it, too, and takes
 * it back: so it finds what the change would find, and nobody sees it.
 */
export async function changeTransaction<T>(
  db: Database,
  dryRun: boolean,
  work: (transaction: Kysely<LockstepTables>) => Promise<T>,
): Promise<T> {
  const rolledBack = new Error('a dry run')
  const made: { result?: T } = {}
  try {
    return await db.kysely.transaction().execute(async (transaction) => {
      await lockRegistry(transaction)
      const result = await work(transaction)
      if (!dryRun) return result
      made.result = result
      throw rolledBack
    })
  } catch (error) {
    if (error === rolledBack && made.result !== undefined) return made.result
    throw error
  }
}
