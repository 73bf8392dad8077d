import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { gated, until } from '../serving/gate.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const features = `import { count, entity, featureService, featureView, source, t } from 'lockstep'
const shop = entity('shop', { key: { shop: t.string } })
const sales = source('sales', { key: { shop: 'shop' }, eventTime: 'at', columns: { amount: t.float64 } })
export const busy = featureView('busy', { version: 1, entity: shop, source: sales, online: true, features: { sold1h: count('1h') } })
export const all = featureService('all', { version: 1, features: [busy] })
`

let folder: string
let env: Environment
let db: Database
let drop: () => Promise<void>
const inFolder = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-stop-'))
  const [database, redis] = [await testDatabase(), await testRedis()]
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_DIR: inFolder('unused'),
  }
  db = openPostgres(database.url)
  drop = database.drop
  await must(env, 'apply', join(definitionFiles({ 'features.ts': features }), 'features.ts'))
  await writeFile(inFolder('sales.csv'), 'at,shop,amount\n2001-06-30T10:00:00Z,a,1\n')
  await writeFile(inFolder('spine.csv'), 'at,shop\n2001-06-30T11:00:00Z,a\n')
})

afterAll(async () => {
  killAll()
  await db?.close()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

/** How many statements of others wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    `select count(*)::int n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return row?.n ?? -1
}

async function whenWaiting(running: Running): Promise<void> {
  const early = running.ended.then(({ err }) => Promise.reject(new Error(`It ended before it waited: ${err}`)))
  early.catch(() => undefined)
  await Promise.race([early, until(async () => (await waiting()) === 1, 60_000)])
}

async function whileLocked(table: string, run: () => Promise<void>): Promise<void> {
  await db.kysely.transaction().execute(async (transaction) => {
    await sql.raw(`lock table ${table} in access exclusive mode`).execute(transaction)
    await run()
  })
}

/** A process that took too long to stop would have ended without a word. */
async function stopped(running: Running, signal: 'SIGINT' | 'SIGTERM'): Promise<{ code: number | null; out: string; err: string }> {
  running.child.kill(signal)
  const { code, out, err } = await running.ended
  return { code, out, err }
}

const said = (signal: string): string => `error STOPPED: Stopped by ${signal} before it was done.\n`

const sales = 'lockstep_source.sales'
const words: readonly { readonly words: () => string[]; readonly table: string }[] = [
  { words: () => ['materialize'], table: sales },
  { words: () => ['ingest', 'sales', inFolder('sales.csv')], table: sales },
  {
    words: () => ['dataset', 'create', 'all', '--spine', inFolder('spine.csv'), '--time', 'at', '--out', inFolder('set.csv')],
    table: sales,
  },
  { words: () => ['dataset', 'create', 'all', '--spine', `select * from ${sales}`, '--out', inFolder('set.csv')], table: sales },
  { words: () => ['materialize'], table: 'lockstep.materialization_runs' },
  { words: () => ['status'], table: 'lockstep.registry_state' },
]

describe('a command that waits for a lock', () => {
  it.each(words)('%# ends with its statement and leaves nothing behind when it is stopped', async ({ words: given, table }) => {
    await whileLocked(table, async () => {
      const before = await readdir(folder)
      const running = start(env, ...given())
      await whenWaiting(running)
      expect(await stopped(running, 'SIGTERM')).toEqual({ code: 143, out: '', err: said('SIGTERM') })
      // a server ends a session a moment after its client
      await expect.poll(waiting).toBe(0)
      expect(await readdir(folder)).toEqual(before)
    })
    await expect.poll(() => db.query(`select relname from pg_class where relname like 'spine%'`)).toEqual([])
    expect(await db.query(`select count(*)::int n from ${sales}`)).toEqual([{ n: 0 }])
  })

  it('reports it in JSON if it prints JSON, and exits with 130 after Ctrl-C', async () => {
    await whileLocked(sales, async () => {
      const running = start(env, 'materialize', '--json')
      await whenWaiting(running)
      const { code, err } = await stopped(running, 'SIGINT')
      expect([code, JSON.parse(err)]).toMatchObject([130, { error: { code: 'STOPPED' } }])
    })
  })
})

describe('a command whose database has stopped responding', () => {
  it('ends all the same, and leaves no file behind', async () => {
    await whileLocked(sales, async () => {
      const url = env['LOCKSTEP_POSTGRES_URL'] ?? ''
      const gate = await gated(url)
      const before = await readdir(folder)
      const words = ['dataset', 'create', 'all', '--spine', inFolder('spine.csv'), '--time', 'at', '--out', inFolder('set.csv')]
      const running = start({ ...env, LOCKSTEP_POSTGRES_URL: gate.through(url) }, ...words)
      await whenWaiting(running)
      gate.hush()
      expect(await stopped(running, 'SIGINT')).toEqual({ code: 130, out: '', err: said('SIGINT') })
      expect(await readdir(folder)).toEqual(before)
      await gate.shut()
      await db.query(
        `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
    })
  })
})

describe('a command that is stopped at its second view', () => {
  it('prints what the first one got, and names what is left', async () => {
    const second = `const visits = source('visits', { key: { shop: 'shop' }, eventTime: 'at', columns: { n: t.int32 } })
export const later = featureView('later', { version: 1, entity: shop, source: visits, online: true, features: { n1h: count('1h') } })
export const last = featureView('last', { version: 1, entity: shop, source: visits, online: true, features: { n2h: count('2h') } })
`
    await must(env, 'apply', join(definitionFiles({ 'features.ts': features + second }), 'features.ts'))
    await whileLocked('lockstep_source.visits', async () => {
      const running = start(env, 'materialize', 'busy', 'later', 'last', '--json')
      await whenWaiting(running)
      const { code, out, err } = await stopped(running, 'SIGINT')
      expect([code, err, JSON.parse(out)]).toMatchObject([
        130,
        '',
        { views: [{ view: 'busy@1' }], failed: [], stopped: { left: ['later@1', 'last@1'], code: 'STOPPED' } },
      ])
    })
  })
})
