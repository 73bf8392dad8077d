import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Database } from '../../runtime/database.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import type { Gate } from '../serving/gate.ts'
import { gated } from '../serving/gate.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, must, start } from './run-lockstep.ts'

const definitions = `import { count, entity, featureView, source, t } from 'lockstep'
const seat = entity('seat', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: seat, source: landings, online: true, features: { n: count('lifetime') } })
`

let db: Database
let gate: Gate
let env: Environment
let close: () => Promise<void>

beforeAll(async () => {
  const [database, redis] = await Promise.all([testDatabase(), testRedis()])
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-away-'))
  db = openPostgres(database.url)
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
}, 40_000)
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

it('tells of a database that has gone silent, and goes on once it is back, without a restart', { timeout: 90_000 }, async () => {
  const worker = start(env, 'worker', '--metrics-port', '0')
  const [, port] = await worker.until(/metrics are at port (\d+)/)
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  const ready = async (): Promise<number> => (await get('/readyz')).status
  const wait = { timeout: 40_000, interval: 200 }
  await insert()
  await expect.poll(folded, wait).toBe(1)
  expect(await get('/readyz')).toEqual({ status: 200, text: '{"ready":true,"away":[]}' })

  gate.hush()
  await expect.poll(ready, wait).toBe(503)
  expect(await get('/readyz')).toEqual({ status: 503, text: '{"ready":false,"away":["database"]}' })
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
