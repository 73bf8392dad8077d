import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testRedis } from '../services/index.ts'
import type { RestorablePostgres } from '../services/postgres.ts'
import { restorablePostgres } from '../services/postgres.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const definitions = `import { count, entity, featureService, featureView, source, sum, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64 } })
export const paid = featureView('paid', { version: 1, entity: card, source: payments, online: true, features: { n: count('lifetime'), total: sum('amount', 'lifetime') } })
export const service = featureService('cards', { version: 1, features: [paid] })
`
const file = join(definitionFiles({ 'cards.ts': definitions }), 'cards.ts')
const wait = { timeout: 60_000, interval: 100 }

let postgres: RestorablePostgres
let folder: string
let env: Environment

beforeAll(async () => {
  const redis = await testRedis()
  postgres = await restorablePostgres()
  folder = await mkdtemp(join(tmpdir(), 'lockstep-restored-'))
  env = { LOCKSTEP_DIR: folder, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix, LOCKSTEP_HOST: '127.0.0.1' }
})
afterAll(async () => {
  killAll()
  await postgres?.remove()
  await rm(folder, { recursive: true })
})

/** A file with so many payments of 1. */
async function payments(rows: number): Promise<string> {
  const path = join(folder, `${rows}.csv`)
  await writeFile(path, `card,at,amount\n${'c1,2020-01-01T00:00:00Z,1\n'.repeat(rows)}`)
  return path
}

async function query(url: string, ...statements: readonly string[]): Promise<void> {
  const db = openPostgres(url)
  try {
    for (const statement of statements) await db.query(statement)
  } finally {
    await db.close()
  }
}

interface Server extends Running {
  /** Its answer about a card: the count and total, or the error. */
  read(card?: string): Promise<unknown>
  push(amount: number, card?: string): Promise<void>
}

async function serve(settings: Environment): Promise<Server> {
  const running = start(settings, 'serve', '--port', '0')
  const [, url = ''] = await running.until(/Listening on (\S+?)\.?\s/)
  const post = async (path: string, body: object) => {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    return { status: response.status, body: JSON.parse(await response.text()) as Answer }
  }
  // the views are checked before this
  await expect.poll(async () => (await fetch(`${url}/readyz`)).text(), wait).toMatch(/"ready":true|none of the served views/)
  return {
    ...running,
    async read(card = 'c1') {
      const { body } = await post('/v1/features', { service: 'cards', entities: [{ card }] })
      return body.results?.[0]?.features ?? body.error
    },
    async push(amount, card = 'c1') {
      const event = { card, at: '2020-01-01T00:00:00Z', amount }
      expect((await post('/v1/sources/payments/events', { events: [event] })).status).toBe(200)
    },
  }
}

interface Answer {
  readonly error?: { readonly code: string; readonly message: string }
  readonly results?: readonly { readonly features: object }[]
}

/** A worker that has started, and so ends cleanly. */
async function work(settings: Environment): Promise<Running & { readiness(): Promise<string> }> {
  const running = start(settings, 'worker', '--metrics-port', '0')
  const [, port] = await running.until(/waits for.*metrics are on port (\d+)/)
  return { ...running, readiness: async () => await (await fetch(`http://127.0.0.1:${port}/readyz`)).text() }
}

async function end(...running: readonly Running[]): Promise<void> {
  for (const { child } of running) child.kill('SIGTERM')
  for (const { ended } of running) expect(await ended).toMatchObject({ code: 0 })
}

const refused = { code: 'NOT_READY', message: expect.stringContaining('it was restored from a backup') as string }
/** So that the database has given the transactions of the lost future out again. */
const overtake = Array.from({ length: 300 }, () => 'select pg_current_xact_id()')

it('a copied data folder, put back under a server and a worker, is refused until a rebuild', async () => {
  const settings = { ...env, LOCKSTEP_POSTGRES_URL: postgres.url }
  await must(settings, 'migrate')
  await must(settings, 'apply', file)
  await must(settings, 'ingest', 'payments', await payments(3))
  await must(settings, 'materialize')
  await postgres.stop()
  await postgres.save()

  await postgres.start()
  let [server, worker] = [await serve(settings), await work(settings)]
  expect(await server.read()).toMatchObject({ n: 3, total: 3 })
  for (let i = 0; i < 5; i++) await server.push(100)
  await server.push(100, 'c2')
  await expect.poll(() => server.read(), wait).toMatchObject({ n: 8, total: 503 })
  await end(server, worker)
  await postgres.stop()
  await postgres.restore()

  await postgres.start()
  await query(postgres.url, ...overtake)
  server = await serve(settings)
  expect(await server.read()).toMatchObject(refused)
  await server.push(10)
  worker = await work(settings)
  await worker.until(/a view could not be brought up to date.*/)
  await expect.poll(() => worker.readiness(), wait).toMatch(/"degraded":\["views"\].*The view \\"paid@1\\" is not kept current: .*restored/)
  expect(await server.read()).toMatchObject(refused)
  expect(await lockstep(settings, 'materialize')).toMatchObject({
    code: 1,
    err: expect.stringContaining('it was restored from a backup') as string,
  })
  expect((await lockstep(settings, 'doctor')).out).toContain('lockstep materialize --rebuild')
  await must(settings, 'materialize', '--rebuild')
  await expect.poll(() => server.read(), wait).toMatchObject({ n: 4, total: 13 })
  expect(await server.read('c2')).toMatchObject({ n: 0 })
  await server.push(10)
  await expect.poll(() => server.read(), wait).toMatchObject({ n: 5, total: 23 })
  await expect.poll(() => worker.readiness(), wait).toBe('{"ready":true,"failing":[]}')
  await end(server, worker)
})

it('a database recreated from a copy, under a server alone, is refused until a rebuild', async () => {
  const database = (name: string): string => postgres.url.replace(/\/postgres$/, `/${name}`)
  const settings = { ...env, LOCKSTEP_POSTGRES_URL: database('shop'), LOCKSTEP_REDIS_PREFIX: `${env['LOCKSTEP_REDIS_PREFIX']}shop:` }
  await query(postgres.url, 'create database shop')
  await must(settings, 'migrate')
  await must(settings, 'apply', file)
  await must(settings, 'ingest', 'payments', await payments(1))
  await must(settings, 'materialize')
  await query(postgres.url, 'create database backup template shop')

  let server = await serve(settings)
  expect(await server.read()).toMatchObject({ n: 1, total: 1 })
  await server.push(100)
  await expect.poll(() => server.read(), wait).toMatchObject({ n: 2, total: 101 })
  await end(server)
  await query(postgres.url, 'drop database shop', 'create database shop template backup')

  server = await serve(settings)
  expect(await server.read()).toMatchObject(refused)
  await server.push(10)
  expect(await lockstep(settings, 'materialize')).toMatchObject({
    code: 1,
    err: expect.stringContaining('it was restored from a backup') as string,
  })
  await must(settings, 'materialize', '--rebuild')
  await expect.poll(() => server.read(), wait).toMatchObject({ n: 2, total: 11 })
  await end(server)
})
