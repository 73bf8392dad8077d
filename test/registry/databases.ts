import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../migrations/migrate.ts'
import type { Database } from '../../runtime/database.ts'
import { openPglite } from '../../runtime/open-pglite.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { testDatabase } from '../services/index.ts'

export interface TestRegistry {
  readonly db: Database
  /** For a connection of one's own; null where there can be none. */
  readonly url: string | null
  /** Empties the registry, the tables of sources and `flights`. */
  reset(): Promise<void>
  close(): Promise<void>
}

/** A migrated database of that kind. */
export async function openRegistry(kind: 'postgres' | 'pglite'): Promise<TestRegistry> {
  if (kind === 'postgres') {
    const database = await testDatabase()
    const db = openPostgres(database.url)
    return {
      db,
      url: database.url,
      reset: () => reset(db),
      close: async () => {
        await db.close()
        await database.drop()
      },
    }
  }
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-registry-'))
  const db = await openPglite(directory)
  await migrate(db.kysely)
  return {
    db,
    url: null,
    reset: () => reset(db),
    close: async () => {
      await db.close()
      await rm(directory, { recursive: true })
    },
  }
}

async function reset(db: Database): Promise<void> {
  await db.script(`
    truncate lockstep.definitions, lockstep.code, lockstep.model_versions;
    update lockstep.registry_state set revision = 0;
    drop schema lockstep_source cascade;
    create schema lockstep_source;
    drop table if exists flights;
  `)
}
