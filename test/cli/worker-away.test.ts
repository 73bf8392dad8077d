import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { beginBackfill } from '../../materializer/backfills/backfill.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { readOnline } from '../../online/read.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { seeded } from '../parity/fire/fire-events.ts'
import type { Gate } from '../serving/gate.ts'
import { gated } from '../serving/gate.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { ownRedis } from '../services/own-redis.ts'
import { must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const definitions = `import { count, entity, featureView, source, t } from 'lockstep'
const seat = entity('seat', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: seat, source: landings, online: true, features: { n: count('lifetime') } })
`

let db: Database
let gate: Gate
let env: Environment
let databaseUrl: string
let close: () => Promise<void>

beforeAll(async () => {
  const [database, redis] = await Promise.all([testDatabase(), testRedis()])
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-away-'))
  databaseUrl = database.url
  db = openPostgres(databaseUrl)
  gate = await gated(database.url)
  const settings = { LOCKSTEP_DIR: folder, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix, LOCKSTEP_HOST: '127.0.0.1' }
  env = { ...settings, LOCKSTEP_POSTGRES_URL: gate.through(database.url) }
  const file = join(definitionFiles({ 'landings.ts': definitions }), 'landings.ts')
  await must({ ...settings, LOCKSTEP_POSTGRES_URL: database.url }, 'apply', file)
  close = async () => {
    await gate.shut()
    await db.close()
    await database.drop()
    await rm(folder, { recursive: true })
  }
})
afterAll(async () => {
  killAll()
  await close?.()
})

const insert = () => db.query(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-01-01', 1)`)
/** Rows that runs have folded. */
async function folded(): Promise<number> {
  const [row] = await db.query<{ n: string }>(
    `select coalesce(sum(rows), 0)::text as n from lockstep.materialization_runs where finished_at is not null`,
  )
  return Number(row?.n)
}

it('reports a silent database, and continues without a restart once it is back', async () => {
  const worker = start(env, 'worker', '--metrics-port', '0')
  const [, port] = await worker.until(/1 job at a time; .*monitors, alerts and rollouts run beside\. Its metrics are on port (\d+)/)
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  const ready = async (): Promise<number> => (await get('/readyz')).status
  const wait = { timeout: 120_000, interval: 200 }
  await insert()
  await expect.poll(folded, wait).toBe(1)
  await expect.poll(() => get('/readyz'), wait).toEqual({ status: 200, text: '{"ready":true,"failing":[]}' })

  gate.hush()
  await expect.poll(() => get('/readyz'), wait).toEqual({ status: 503, text: '{"ready":false,"failing":["database"]}' })
  expect((await get('/livez')).status).toBe(200)
  await worker.until(/The database: PostgreSQL at .* cannot be used.*a dependency does not answer/)
  await insert()
  expect((await get('/metrics')).text).toContain('lockstep_dependency_up{dependency="database"} 0')

  await gate.shut()
  await gate.open()
  await expect.poll(ready, wait).toBe(200)
  await expect.poll(folded, wait).toBe(2)
  await worker.until(/a dependency answers again/)
  expect((await get('/metrics')).text).toContain('lockstep_dependency_up{dependency="database"} 1')
  worker.child.kill('SIGTERM')
  expect((await worker.ended).code).toBe(0)
})

/** Strikes in all: processes killed and stores taken away. `npm run chaos` has 200 of them. */
const strikes = Number(process.env['LOCKSTEP_TEST_CHAOS'] ?? 4)

it('continues after outages of both stores during backfills, and loses no row', { timeout: 240_000 + strikes * 10_000 }, async () => {
  let own = await ownRedis('redis-server')
  const settings = {
    ...env,
    LOCKSTEP_POSTGRES_URL: `${gate.through(databaseUrl)}?application_name=chaos`,
    LOCKSTEP_REDIS_URL: own.url,
    LOCKSTEP_REDIS_PREFIX: 'chaos',
    LOCKSTEP_LOG_LEVEL: 'error',
  }
  const unasked: string[] = []
  const dismissed = new Set<Running>()
  const hire = async (): Promise<Running> => {
    const worker = start(settings, 'worker')
    void worker.ended.then(({ code, err }) => dismissed.has(worker) || unasked.push(`${code}: ${err.slice(-1000)}`))
    await worker.until(/waits for views/)
    return worker
  }
  const open = () => openOnlineStore({ redisUrl: own.url, redisPrefix: 'chaos', directory: '/nowhere' })
  const plan = (await loadCatalog(db)).view('delays')
  const random = seeded(Number(process.env['LOCKSTEP_TEST_CHAOS_SEED'] ?? 7))
  let sent = 0
  const send = async (rows: number): Promise<void> => {
    await db.query(
      `insert into lockstep_source.landings (airport, at, delay) select 'A' || (n % 200), '2001-01-01', 1 from generate_series(1, ${rows}) n`,
    )
    sent += rows
  }
  const backfill = async (): Promise<void> => {
    const store = await open()
    await beginBackfill({ db, store, worker: 'test' }, plan, { chunks: 20, now: () => Date.now() * 1000, leaseSeconds: 3 }).catch(
      (error: unknown) => {
        // the view is being filled already
        if (!(error instanceof LockstepError)) throw error
      },
    )
    await store.close()
  }
  const away = (): Promise<void> => setTimeout(random() * 600)
  const strike: readonly (() => Promise<void>)[] = [
    async () => {
      await backfill()
      process.kill(own.pid, 'SIGKILL')
      await away()
      own = await ownRedis('redis-server', { port: own.port })
    },
    async () => {
      await gate.shut()
      await away()
      await gate.open()
    },
    async () => {
      await backfill()
      await db.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lockstep worker chaos'`)
      await db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lockstep chaos' and datname = current_database()`,
      )
    },
    async () => {
      const [worker] = workers.splice(0, 1)
      if (worker === undefined) return
      dismissed.add(worker)
      worker.child.kill('SIGKILL')
      workers.push(await hire())
    },
  ]
  await send(4_000)
  const workers = await Promise.all([hire(), hire()])
  for (let i = 0; i < strikes; i++) {
    await strike[i % strike.length]?.()
    await send(100)
    await setTimeout(random() * 300)
  }
  const keys = Array.from({ length: 200 }, (_, n) => encodeKey(plan.key, [`A${n}`]))
  const counted = async (): Promise<number> => {
    const store = await open()
    try {
      const answers = await readOnline(
        store,
        keys.map((key) => ({ plan, key })),
        Date.now() * 1000,
      )
      return answers.reduce((sum, { values }) => sum + Number(values?.values[0] ?? 0), 0)
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'NOT_READY') return -1
      throw error
    } finally {
      await store.close()
    }
  }
  await expect.poll(counted, { timeout: 180_000, interval: 200 }).toBe(sent)
  expect(unasked).toEqual([])
  for (const worker of workers) {
    dismissed.add(worker)
    worker.child.kill('SIGTERM')
    expect((await worker.ended).code).toBe(0)
  }
  await own.stop()
})
