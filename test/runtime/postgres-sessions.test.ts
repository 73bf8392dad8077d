import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { gated, until } from '../serving/gate.ts'
import { type TestDatabase, testDatabase } from '../services/index.ts'
import { failureOf } from './failure-of.ts'

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await testDatabase({ migrate: false })
  db = openPostgres(database.url)
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

async function sleeping(): Promise<number> {
  const rows = await db.query(
    `select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(%' and pid <> pg_backend_pid()`,
  )
  return rows.length
}

/**
 * The server tells of a failure, and of the end of a connection, a moment before it counts the statement as over; one
 * that is not ended goes on for 10 minutes.
 */
async function noneSleeps(): Promise<void> {
  await until(async () => (await sleeping()) === 0)
}

it('ends every statement on the server when it is aborted, except cleanup', async () => {
  const stop = new AbortController()
  const other = openPostgres(database.url, { signal: stop.signal })
  const work = [
    failureOf(other.query('select pg_sleep(600)')),
    failureOf(other.script('select pg_sleep(600)')),
    failureOf(other.kysely.transaction().execute((transaction) => sql`select pg_sleep(600)`.execute(transaction))),
    failureOf(
      other.snapshot(async (snapshot) => {
        for await (const batch of snapshot.tuples('select pg_sleep(600)')) expect(batch.starts).toEqual([])
      }),
    ),
  ]
  await until(async () => (await sleeping()) === work.length)
  const started = performance.now()
  stop.abort(new Error('enough'))
  await Promise.all(work)
  expect(performance.now() - started).toBeLessThan(30_000)
  await noneSleeps()
  expect(await other.query('select 1 as one')).toEqual([{ one: 1 }])
  // what begins after the stop and takes long is ended, too
  await failureOf(other.query('select pg_sleep(600)'))
  await other.close()
  expect(performance.now() - started).toBeLessThan(30_000)
  await noneSleeps()
})

it('leaves no statement on the server that began just before the cut', async () => {
  const stop = new AbortController()
  const other = openPostgres(database.url, { signal: stop.signal })
  await other.ping()
  stop.abort(new Error('enough'))
  await delay(650)
  await failureOf(other.query('select pg_sleep(600)'))
  await other.close()
  await noneSleeps()
})

it('has no connections left a second after it is aborted', async () => {
  const stop = new AbortController()
  const gate = await gated(database.url)
  const other = openPostgres(gate.through(database.url), { signal: stop.signal })
  await other.ping()
  gate.hush()
  const waiting = [failureOf(other.query('select 1')), failureOf(other.snapshot(() => Promise.resolve()))]
  const started = performance.now()
  stop.abort(new Error('enough'))
  await Promise.all(waiting)
  expect(String(await failureOf(other.ping()))).toBe('Error: enough')
  await other.close()
  expect(performance.now() - started).toBeLessThan(30_000)
  await gate.shut()
})

it('closes within seconds during a statement with a held lock', async () => {
  const other = openPostgres(database.url)
  await other.lock(1, 1)
  const failed = failureOf(other.query('select pg_sleep(600)'))
  await until(async () => (await sleeping()) === 1)
  const started = performance.now()
  await other.close()
  expect(performance.now() - started).toBeLessThan(30_000)
  await failed
  await noneSleeps()
})

it('ends statements of a user that acts as another role', async () => {
  const suffix = randomBytes(4).toString('hex')
  const [owner, user] = [`owner_${suffix}`, `user_${suffix}`]
  await db.script(
    `create role ${owner}; create role ${user} login password 'acts' in role ${owner}; alter role ${user} set role to ${owner}`,
  )
  const url = new URL(database.url)
  ;[url.username, url.password] = [user, 'acts']
  const other = openPostgres(url.href)
  try {
    const stop = new AbortController()
    const aborted = failureOf(other.query('select pg_sleep(600)', [], { signal: stop.signal }))
    await until(async () => (await sleeping()) === 1)
    stop.abort(new Error('enough'))
    await aborted
    await noneSleeps()
    // the connections still act as the other role
    expect(await other.snapshot((snapshot) => snapshot.query('select current_user as role'))).toEqual([{ role: owner }])

    const failed = failureOf(other.query('select pg_sleep(600)'))
    await until(async () => (await sleeping()) === 1)
    await other.close()
    await failed
    await noneSleeps()
  } finally {
    await other.close()
    await db.script(`drop role ${user}; drop role ${owner}`)
  }
})
