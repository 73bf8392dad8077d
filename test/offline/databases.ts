import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../migrations/migrate.ts'
import type { Database } from '../../runtime/database.ts'
import { openPglite } from '../../runtime/open-pglite.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { testDatabase } from '../services/index.ts'

export interface OpenedDatabase {
  readonly db: Database
  close(): Promise<void>
}

/** Each kind of database, opened fresh and migrated. The English one shows that nothing leans on the database's own order of texts. */
export const databases: readonly { readonly kind: string; readonly open: () => Promise<OpenedDatabase> }[] = [
  { kind: 'PostgreSQL with English collation', open: openEnglish },
  { kind: 'PGlite', open: openEmbedded },
]

async function openEnglish(): Promise<OpenedDatabase> {
  const server = await testDatabase({ collation: 'en' })
  const db = openPostgres(server.url)
  return {
    db,
    async close() {
      await db.close()
      await server.drop()
    },
  }
}

async function openEmbedded(): Promise<OpenedDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-offline-'))
  const db = await openPglite(folder)
  await migrate(db.kysely)
  return {
    db,
    async close() {
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}
