import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { Client } from 'pg'
import { inject } from 'vitest'
import { administer, databaseUrl } from './administer.ts'
import { migrateDatabase } from './template.ts'

export interface TestDatabase {
  readonly url: string
  /** Call it last in the file, after every connection is closed. An open connection is a leak, and so an error. */
  drop(): Promise<void>
}

export interface TestDatabaseOptions {
  /** Whether Lockstep's own tables exist. Default true. */
  readonly migrate?: boolean
  /**
   * The database's collation: `C`, or English by ICU, which orders "a" before "B" and "B" before "c". Default `C` (on a
   * given server: the server's own).
   */
  readonly collation?: 'C' | 'en'
}

/** A fresh PostgreSQL database. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { run, postgres } = inject('services')
  const cluster = postgres[(Number(process.env['VITEST_POOL_ID']) - 1) % postgres.length]
  if (cluster === undefined)
    throw new Error('The run has no PostgreSQL: tests that need one are run by vitest with test/services/global-setup.ts.')
  const name = `${run}_${randomBytes(4).toString('hex')}`
  const url = databaseUrl(cluster, name)
  const migrated = options.migrate ?? true
  if (options.collation === undefined) {
    await administer(cluster, (client) =>
      // the default strategy writes each page to the log, which takes twice the processor time
      client.query(`create database "${name}" template "${migrated ? `${run}_template` : 'template0'}" strategy file_copy`),
    )
  } else {
    const locale = options.collation === 'C' ? `locale 'C'` : `locale_provider icu icu_locale 'en-US' locale 'C'`
    await administer(cluster, (client) => client.query(`create database "${name}" template template0 encoding 'UTF8' ${locale}`))
    if (migrated) await migrateDatabase(url)
  }
  return { url, drop: () => administer(cluster, (client) => drop(client, name)) }
}

async function drop(client: Client, name: string): Promise<void> {
  // the server ends a session some time after its client has closed it
  const deadline = Date.now() + 15_000
  let open = await connections(client, name)
  while (open > 0 && Date.now() < deadline) {
    await setTimeout(10)
    open = await connections(client, name)
  }
  await client.query(`drop database "${name}" with (force)`)
  if (open > 0) throw new Error(`${open} connections to the test database were left open: close every database and pool before "drop".`)
}

async function connections(client: Client, name: string): Promise<number> {
  const count = `select count(*)::int as open from pg_stat_activity where datname = $1 and backend_type = 'client backend'`
  const { rows } = await client.query<{ open: number }>(count, [name])
  return rows[0]?.open ?? 0
}

/**
 * A Redis server that the whole run shares, and a prefix for this caller's keys. The keys are removed when the run
 * ends.
 */
export async function testRedis(): Promise<{ readonly url: string; readonly prefix: string }> {
  const { run, redis } = inject('services')
  return { url: redis, prefix: `${run}:${randomBytes(4).toString('hex')}:` }
}
