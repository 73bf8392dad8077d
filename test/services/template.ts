import { migrate } from '../../migrations/migrate.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { administer, databaseUrl } from './administer.ts'

/** Makes the migrated database from which every test file's database is copied. */
export async function makeTemplate(cluster: string, run: string): Promise<void> {
  await administer(cluster, (client) => client.query(`create database "${run}_template" template template0 encoding 'UTF8'`))
  await migrateDatabase(databaseUrl(cluster, `${run}_template`))
}

export async function migrateDatabase(url: string): Promise<void> {
  const database = openPostgres(url)
  try {
    await migrate(database.kysely)
  } finally {
    await database.close()
  }
}
