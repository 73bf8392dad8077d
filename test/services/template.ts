import { existsSync } from 'node:fs'
import { administer, databaseUrl } from './administer.ts'

/** Makes the migrated database that every test file's database is a copy of. */
export async function makeTemplate(cluster: string, run: string): Promise<void> {
  await administer(cluster, (client) => client.query(`create database "${run}_template" template template0 encoding 'UTF8'`))
  await migrateDatabase(databaseUrl(cluster, `${run}_template`))
}

export async function migrateDatabase(url: string): Promise<void> {
  const migrations = new URL('../../migrations/migrate.ts', import.meta.url)
  const runtime = new URL('../../runtime/open-postgres.ts', import.meta.url)
  if (!existsSync(migrations) || !existsSync(runtime)) return
  const { migrate } = await import(migrations.href)
  const { openPostgres } = await import(runtime.href)
  const database = await openPostgres(url)
  try {
    await migrate(database.kysely)
  } finally {
    await database.close()
  }
}
