import type { Kysely } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Catalog } from './catalog.ts'
import { readCatalog } from './catalog.ts'
import { bumpRevision, lockRegistry, readRevision } from './revision.ts'

export interface ChangeOptions {
  /** Called just before the commit. If it throws, the change is rolled back. */
  readonly beforeCommit?: () => void
}

/**
 * Makes a change of the registry in one transaction, with no other change meanwhile.
 *
 * @param change returns what it did. With `changed: false` the registry keeps its revision
 * @returns that, and the registry's revision afterwards
 */
export async function changeCatalog<T extends object>(
  db: Database,
  { beforeCommit }: ChangeOptions,
  change: (catalog: Catalog, transaction: Kysely<LockstepTables>) => Promise<T>,
): Promise<T & { readonly revision: number }> {
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const made = await change(await readCatalog(transaction, db.signing), transaction)
    const isSame = 'changed' in made && made.changed === false
    const revision = isSame ? await readRevision(transaction) : await bumpRevision(transaction)
    beforeCommit?.()
    return { ...made, revision }
  })
}

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
