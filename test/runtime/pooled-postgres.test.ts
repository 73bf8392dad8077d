import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { administer } from '../services/administer.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import type { Service } from '../services/keeper.ts'
import { ownPgBouncer } from '../services/pgbouncer.ts'
import { unlessSlow } from '../unless-slow.ts'

const ignored = 'ignore_startup_parameters = options'
let database: TestDatabase
let poolers: { readonly session: Service; readonly transaction: Service; readonly strict: Service; readonly full: Service }

beforeAll(async () => {
  database = await testDatabase({ migrate: false })
  const name = new URL(database.url).pathname.slice(1)
  // what a pooler that drops the settings of a connection would leave
  await administer(database.url, async (client) => {
    for (const setting of [
      `timezone = 'Asia/Kathmandu'`,
      `datestyle = 'SQL, DMY'`,
      `bytea_output = escape`,
      `extra_float_digits = -5`,
      `default_transaction_isolation = 'serializable'`,
    ])
      await client.query(`alter database "${name}" set ${setting}`)
  })
  const [session, transaction, strict, full] = await Promise.all([
    ownPgBouncer(database.url, ['pool_mode = session', ignored]),
    ownPgBouncer(database.url, ['pool_mode = transaction', ignored]),
    ownPgBouncer(database.url, ['pool_mode = session']),
    ownPgBouncer(database.url, ['pool_mode = session', ignored, 'default_pool_size = 1']),
  ])
  poolers = { session, transaction, strict, full }
}, 360_000)
afterAll(async () => {
  await Promise.all(Object.values(poolers ?? {}).map((pooler) => pooler.stop()))
  await database?.drop()
})

it('a pooler in session mode that drops settings changes no value', async () => {
  const [direct, pooled] = [openPostgres(database.url), openPostgres(poolers.session.url)]
  const asked = `select '2001-07-01'::date::timestamptz as at, '2001-07-01 12:00+00'::timestamptz::text as text, '\\xff00'::bytea as bytes, 0.1::float8 + 0.2 as sum, current_setting('transaction_isolation') as isolation`
  const answer = await direct.query(asked)
  const at = new Date('2001-07-01')
  const bytes = Buffer.from([255, 0])
  expect(answer).toEqual([{ at, text: '2001-07-01 12:00:00+00', bytes, sum: 0.1 + 0.2, isolation: 'read committed' }])
  expect(await pooled.query(asked)).toEqual(answer)
  await Promise.all([direct.close(), pooled.close()])
})

it('a pooler in session mode that has no other free session is used within the time of a ping', async () => {
  await unlessSlow(0, async () => {
    const db = openPostgres(poolers.full.url)
    const startMs = performance.now()
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
    const ms = performance.now() - startMs
    await db.close()
    expect(ms).toBeLessThan(3_500)
  })
})

it('a statement behind a pooler in session mode can be cancelled', async () => {
  const db = openPostgres(poolers.session.url)
  const stop = new AbortController()
  const asked = db.query('select pg_sleep(600)', [], { signal: stop.signal })
  const isRunning = async () =>
    (await db.query(`select 1 from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'`)).length > 0
  await expect.poll(isRunning, { timeout: 60_000 }).toBe(true)
  stop.abort(new Error('enough'))
  await expect(asked).rejects.toThrow('enough')
  await expect.poll(isRunning).toBe(false)
  await db.close()
})

it('a pooler in transaction mode is refused with what to do', async () => {
  const db = openPostgres(poolers.transaction.url)
  const refused = { code: 'POSTGRES_UNAVAILABLE', message: expect.stringMatching(/a pooler gives each transaction .* pool_mode = session/) }
  await expect(db.query('select 1')).rejects.toMatchObject(refused)
  await expect(db.tryLock(1, 1)).rejects.toMatchObject(refused)
  await db.close()
})

it('a pooler that refuses the settings is named with what to set in it', async () => {
  const db = openPostgres(poolers.strict.url)
  await expect(db.query('select 1')).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE',
    message: expect.stringMatching(
      /unsupported startup parameter.* Set pool_mode = session and ignore_startup_parameters = options in PgBouncer/,
    ),
  })
  await db.close()
})
