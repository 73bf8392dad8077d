import { join } from 'node:path'
import type { Config } from './config.ts'
import type { Database } from './database.ts'
import { ownEmbeddedFolder } from './embedded-owner.ts'
import { openPostgres } from './open-postgres.ts'

/**
 * Opens the database that is configured: PostgreSQL where `postgresUrl` is set, else the embedded one, in the folder `postgres` of
 * `config.directory`, which this process owns until the database is closed.
 *
 * @throws LockstepError `EMBEDDED_IN_USE` where another process owns the folder
 */
export async function openDatabase(config: Config): Promise<Database> {
  if (config.postgresUrl !== null) return openPostgres(config.postgresUrl)
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
