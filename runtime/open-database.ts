import { join } from 'node:path'
import type { Config } from './config.ts'
import type { Database } from './database.ts'
import { ownEmbeddedFolder } from './embedded-owner.ts'
import { openPostgres } from './open-postgres.ts'

/**
 * Opens the database that is configured: PostgreSQL where `postgresUrl` is set, else the embedded one, in the folder `postgres` of
 * `config.directory`, which this process owns until the database is closed.
 *
 * @param options.signal its abort ends what PostgreSQL is doing; the embedded one cannot be interrupted, and heeds the signals of its calls only
 * @throws LockstepError `EMBEDDED_IN_USE` where another process owns the folder
 */
export async function openDatabase(config: Config, options: { readonly signal?: AbortSignal } = {}): Promise<Database> {
  if (config.postgresUrl !== null) return openPostgres(config.postgresUrl, options)
  const owner = await ownEmbeddedFolder(config.directory)
  try {
    const { openPglite } = await import('./open-pglite.ts')
    const database = await openPglite(join(config.directory, 'postgres'))
    return {
      ...database,
      async close() {
        try {
          await database.close()
        } finally {
          await owner.release()
        }
      },
    }
  } catch (error) {
    await owner.release()
    throw error
  }
}
