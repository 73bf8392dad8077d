import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { pushModel } from '../../registry/models/models.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { tryPort } from '../../runtime/listen.ts'
import { servingSet } from '../serving/definitions.ts'
import { onnx } from '../serving/fixtures.ts'
import { until } from '../serving/gate.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start, whenReady } from './run-lockstep.ts'

let env: Environment
let folder: string
let drop: () => Promise<void>

beforeAll(async () => {
  const [database, redis] = await Promise.all([testDatabase(), testRedis()])
  folder = await mkdtemp(join(tmpdir(), 'lockstep-workers-'))
  env = {
    LOCKSTEP_DIR: folder,
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_HOST: '127.0.0.1',
  }
  drop = database.drop
  await must(env, 'migrate')
})
afterAll(async () => {
  killAll()
  await drop?.()
  await rm(folder, { recursive: true })
})

const listens = (lead: boolean): RegExp => new RegExp(`"lead":${lead},"worker":(\\d+),"msg":"a worker listens"`)
const pidOf = async (server: Running, lead: boolean): Promise<number> => Number((await server.until(listens(lead)))[1])

/** The sum of a metric over its labels. */
function sumOf(metrics: string, metric: RegExp): number {
  return metrics
    .split('\n')
    .filter((line) => metric.test(line))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
const answered = /^lockstep_http_request_seconds_count\{route="\/v1\/models"/

it('keeps answering when a worker is killed, replaces it, and counts as one', async () => {
  const server = start(env, 'serve', '--port', '0', '--workers', '2')
  const [, url = ''] = await server.until(/Listening on (\S+)\. 2 workers answer\./)
  await whenReady(url)
  const [lead, other] = [await pidOf(server, true), await pidOf(server, false)]
  expect(lead).not.toBe(other)
  /** A connection for each call, so that both workers get some. */
  const get = async (path: string): Promise<string> => {
    const asking = request(`${url}${path}`, { agent: false, signal: AbortSignal.timeout(60_000) }).end()
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    const said = await text(response)
    if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${said}`)
    return said
  }
  const ask = () => get('/v1/models')

  await Promise.all(Array.from({ length: 8 }, ask))
  let before = ''
  // the leading process reports freshness for both, once it has read it
  const oldestOf = (metrics: string) => metrics.match(/^lockstep_oldest_transaction_seconds\{/gm)?.length ?? 0
  await until(async () => sumOf((before = await get('/metrics')), answered) === 8 && oldestOf(before) > 0, 60_000)
  expect(sumOf(before, /^lockstep_workers /)).toBe(2)
  expect(oldestOf(before)).toBe(1)

  // one that stands still does not take what it is handed; the others of these are answered by its neighbour
  process.kill(lead, 'SIGSTOP')
  let there = 0
  const asked = Array.from({ length: 4 }, async () => {
    await ask()
    there += 1
  })
  const settled = Promise.allSettled(asked)
  try {
    await until(async () => there === 3, 60_000)
  } finally {
    process.kill(lead, 'SIGKILL')
  }
  const failures = (await settled).filter((result) => result.status === 'rejected')
  // closed, not left to wait
  expect(failures).toMatchObject([{ reason: { code: 'ECONNRESET' } }])
  for (let i = 0; i < 8; i++) await ask()
  await server.until(new RegExp(`"worker":${lead},.*"msg":"a server process died and is replaced"`))
  await server.until(new RegExp(`"lead":true,"worker":(?!${lead})\\d+,"msg":"a worker listens"`))

  await Promise.all(Array.from({ length: 8 }, ask))
  await whenReady(url)
  let after = ''
  await until(async () => sumOf((after = await get('/metrics')), answered) === 27 && oldestOf(after) > 0, 60_000)
  expect(sumOf(after, /^lockstep_workers /)).toBe(2)
  expect(sumOf(after, /^lockstep_workers_replaced_total /)).toBe(1)
  expect(oldestOf(after)).toBe(1)
  await expect.poll(async () => JSON.parse(await get('/readyz')) as unknown).toMatchObject({ ready: true })

  server.child.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
  expect(() => process.kill(other, 0)).toThrow('ESRCH')
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

it('answers and logs predictions in every worker, behind one TLS port', async () => {
  const db = openPostgres(env['LOCKSTEP_POSTGRES_URL'] ?? '')
  const store = createRedisStore({ redis: openRedis(env['LOCKSTEP_REDIS_URL'] ?? ''), prefix: env['LOCKSTEP_REDIS_PREFIX'] ?? '' })
  try {
    await applyChanges(db, servingSet)
    await db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', now() - interval '1 minute', 25)`)
    await materializeView(db, store, (await loadCatalog(db)).view('airport_delays'), { moment: Date.now() * 1000 })
    const bytes = await onnx('identity')
    await pushModel(db, { model: 'echo', bytes, contract: await inspectModel(bytes) })

    const tls = join(import.meta.dirname, '../runtime/tls/first')
    const metricsPort = await tryPort('127.0.0.1', 0)
    const settings = {
      LOCKSTEP_METRICS_PORT: String(metricsPort),
      LOCKSTEP_LOG_PREDICTIONS: '1',
      LOCKSTEP_ACCESS_LOG: '1',
      LOCKSTEP_TLS_CERT: `${tls}.crt`,
      LOCKSTEP_TLS_KEY: `${tls}.key`,
    }
    const server = start({ ...env, ...settings }, 'serve', '--port', '0', '--workers', '2')
    const [, url = ''] = await server.until(/Listening on (https:\S+)\. 2 workers answer\./)
    const own = () => ({ agent: false, ca: readFileSync(`${tls}.crt`), signal: AbortSignal.timeout(60_000) })
    const statusOf = async (path: string) =>
      ((await once(requestTls(`${url}${path}`, own()).end(), 'response')) as [IncomingMessage])[0].statusCode
    await until(async () => (await statusOf('/readyz')) === 200, 60_000)
    const workers = [await pidOf(server, true), await pidOf(server, false)]
    const asked = Array.from({ length: 16 }, (_, i) => ({ id: `asked-${i}`, distance: 100 + i }))
    const by = await Promise.all(
      asked.map(async ({ id, distance }) => {
        const headers = { 'content-type': 'application/json', 'x-request-id': id }
        const asking = requestTls(`${url}/v1/predict`, { ...own(), method: 'POST', headers })
        asking.end(JSON.stringify({ model: 'echo', entities: [{ airport: 'ATL', distance }] }))
        const [response] = (await once(asking, 'response')) as [IncomingMessage]
        expect([response.statusCode, JSON.parse(await text(response))]).toMatchObject([
          200,
          { model: 'echo', version: 1, predictions: [{ out: [25, 1, Math.fround(25 / distance)] }] },
        ])
        const [line] = await server.until(new RegExp(`^.*"${id}".*\n`, 'm'))
        return (JSON.parse(line) as { pid: number }).pid
      }),
    )
    expect(new Set(by)).toEqual(new Set(workers))
    // of all workers, and there alone
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
    expect(sumOf(metrics, /^lockstep_workers /)).toBe(2)
    expect(await statusOf('/metrics')).toBe(404)
    const readiness: unknown = await (await fetch(`http://127.0.0.1:${metricsPort}/readyz`)).json()
    expect(Object.keys(readiness as object).toSorted()).toEqual(['degraded', 'failing', 'ready', 'reasons', 'warnings'])

    server.child.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
    const rows = await db.query<{ id: string; distance: number }>(
      `select request_id as id, (request ->> 'distance')::int as distance from lockstep.prediction_log where model = 'echo' order by 2`,
    )
    expect(rows).toEqual(asked)
  } finally {
    await store.close()
    await db.close()
  }
})

it('needs stores that processes can share', async () => {
  const { code, err } = await start({ LOCKSTEP_DIR: folder }, 'serve', '--workers', '2', '--port', '0').ended
  expect(code).toBe(1)
  expect(err).toContain('error EMBEDDED_ALONE: --workers needs PostgreSQL and Redis, and "LOCKSTEP_POSTGRES_URL" is not set.')
})

it('exits with the error of a worker that cannot start', async () => {
  const { code, err } = await start(env, 'serve', '--workers', '1', '--port', '0', '--host', '0.0.0.0').ended
  expect(code).toBe(1)
  expect(err).toMatch(/^error CONFIG_INVALID: The server would listen on "0\.0\.0\.0"/m)
})
