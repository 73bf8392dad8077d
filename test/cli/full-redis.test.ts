import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const files = definitionFiles({
  'full.ts': `
  import { count, entity, featureView, last, source, t } from 'lockstep'
  export const thing = entity('thing', { key: { thing: t.string } })
  export const rows = source('rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
  export const view = featureView('view', { version: 1, entity: thing, source: rows, online: true, features: { x: last('x'), n: count('lifetime') } })`,
})
let folder: string
let redis: OwnRedis
let db: Database
let env: Environment
let close: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-full-'))
  const [database, own] = await Promise.all([testDatabase(), ownRedis('redis-server')])
  redis = own
  db = openPostgres(database.url)
  env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: 'full', LOCKSTEP_DIR: folder }
  close = async () => {
    killAll()
    await db.close()
    await database.drop()
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  }
  await must(env, 'apply', join(files, 'full.ts'))
  await db.query(
    `insert into lockstep_source.rows (thing, at, x) select 'thing ' || n % 10, '2001-01-01'::timestamptz + n * interval '1 s', n from generate_series(1, 100) n`,
  )
  await must(env, 'materialize', 'view')
})
afterAll(() => close?.())

const limit = (bytes: number) => asking(redis.port, (admin) => admin.config('SET', 'maxmemory', String(bytes)))
const keys = () => asking(redis.port, (admin) => admin.keys('full:{thing*'))

it('an erasure on a full Redis reports why it is unfinished; the next completes it', async () => {
  await limit(1)
  const first = await lockstep(env, 'erase', 'thing', 'thing 3', '--yes')
  expect([first.code, first.err]).toEqual([1, ''])
  expect(first.out).toMatch(/Erased one thing \(receipt \S+, key hash \w+\)/)
  expect(first.out).toMatch(/not finished: REDIS_UNAVAILABLE: .*It is full: raise its maxmemory/)
  expect(await db.query(`select count(*)::int n from lockstep_source.rows where thing = 'thing 3'`)).toEqual([{ n: 0 }])
  expect((await keys()).length).toBe(10)
  await limit(0)
  const second = await must(env, 'erase', 'thing', 'thing 3', '--yes')
  expect(second).toMatchObject({ unfinished: 0, problem: null })
  expect((await keys()).length).toBe(9)
})

it('a backfill on a full Redis reports why it waits, then completes with more room', async () => {
  await limit(1)
  await db.query(`insert into lockstep_source.rows (thing, at, x) values ('thing new', '2001-01-02', 1)`)
  const running = start(env, 'backfill', 'view')
  await running.until(/It is full: raise its maxmemory/)
  await limit(0)
  const { code, out } = await running.ended
  expect([code, out]).toEqual([0, expect.stringContaining('Backfilled view@1')])
  expect((await keys()).length).toBe(10)
})

it('a worker counts writes that a full Redis refuses', async () => {
  await limit(1)
  const worker = start(env, 'worker', '--metrics-port', '0')
  const [, port] = await worker.until(/metrics are on port (\d+)/)
  await db.query(`insert into lockstep_source.rows (thing, at, x) values ('thing newer', '2001-01-02', 1)`)
  await worker.until(/It is full: raise its maxmemory/)
  const metrics = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  await expect.poll(metrics).toMatch(/lockstep_online_errors_total\{code="OOM"\} [1-9]/)
  worker.child.kill('SIGTERM')
  expect((await worker.ended).code).toBe(0)
  await limit(0)
  await must(env, 'materialize', 'view')
  expect((await keys()).length).toBe(11)
})

it('doctor reports a full Redis as wrong, with its memory and the remedy', async () => {
  await limit(1)
  const full = await lockstep(env, 'doctor')
  expect([full.code, full.out]).toEqual([
    1,
    expect.stringMatching(
      /^wrong +online store +\S+ uses .* of its maxmemory of 1 B\. When it is full, it refuses writes\. Raise maxmemory/m,
    ),
  ])
  await limit(0)
  expect((await lockstep(env, 'doctor')).out).not.toContain('of its maxmemory')
})
