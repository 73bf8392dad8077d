import { globSync } from 'node:fs'
import { migrate } from '../../migrations/migrate.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { rootFolder } from '../source-files.ts'
import { administer, databaseUrl } from './administer.ts'

/** The migrated database of a cluster that is kept for many runs. */
export const keptTemplate = 'lockstep_test_kept_template'

/** What a migrated database depends on. */
export function templateSources(): string[] {
  return ['package-lock.json', 'test/services/template.ts', ...globSync('migrations/*.ts', { cwd: rootFolder })]
}

/** Gives the cluster the migrated database from which every test file's database is copied. */
export async function provideTemplate(cluster: string, name: string): Promise<void> {
  const isKept = await administer(cluster, async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [keptTemplate])
    if (rowCount === 1) await client.query(`alter database "${keptTemplate}" rename to "${name}"`)
    return rowCount === 1
  })
  if (!isKept) await makeTemplate(cluster, name)
}

export async function makeTemplate(cluster: string, name: string): Promise<void> {
  await administer(cluster, (client) => client.query(`create database "${name}" template template0 encoding 'UTF8'`))
  await migrateDatabase(databaseUrl(cluster, name))
}

export async function migrateDatabase(url: string): Promise<void> {
  const database = openPostgres(url)
  try {
    await migrate(database.kysely)
  } finally {
    await database.close()
  }
}
