import type { Database } from '../runtime/postgres/database.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'

/**
 * Opens a database of a test once more, as one whose clock is two hours behind: as a process whose own clock is two
 * hours ahead sees it. Close it as any other.
 *
 * @param db the same database
 */
export async function openBehind(url: string, db: Pick<Database, 'script'>): Promise<Database> {
  await db.script(`create schema behind; create function behind.clock_timestamp() returns timestamptz language sql
    as $$ select pg_catalog.clock_timestamp() - interval '2 h' $$`)
  const skewed = new URL(url)
  skewed.searchParams.set('options', '-c search_path=behind,pg_catalog,public')
  return openPostgres(skewed.href)
}
