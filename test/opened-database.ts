import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { Database } from '../runtime/postgres/database.ts'
import { openPglite } from '../runtime/embedded/open-pglite.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { copyEmbedded } from './services/embedded-template.ts'
import type { TestDatabaseOptions } from './services/index.ts'
import { testDatabase } from './services/index.ts'

export interface OpenedDatabase {
  readonly db: Database
  /** Closes the database and removes it. */
  close(): Promise<void>
}

export interface OpenedServer extends OpenedDatabase {
  /** The URL for further connections. */
  readonly url: string
}

/** A fresh PostgreSQL database. */
export async function openServer(options: TestDatabaseOptions = {}): Promise<OpenedServer> {
  const { url, drop } = await testDatabase(options)
  const db = openPostgres(url)
  return {
    db,
    url,
    async close() {
      await db.close()
      await drop()
    },
  }
}

/** A fresh PGlite in its own folder. `migrate`: whether Lockstep's own tables exist, by default true. */
export async function openEmbedded(options: Pick<TestDatabaseOptions, 'migrate'> = {}): Promise<OpenedDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-pglite-'))
  if (options.migrate ?? true) await copyEmbedded(folder)
  const db = await openPglite(folder)
  return {
    db,
    async close() {
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Opens before the tests of a file or of a `describe`, and closes after them; the answer is for within the tests. */
export function during<T extends Pick<OpenedDatabase, 'close'>>(open: () => Promise<T>): () => T {
  let opened: T
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(() => opened?.close())
  return () => opened
}
