import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { testDatabase, testRedis } from '../services/index.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, lockstep, must, start, whenReady } from './run-lockstep.ts'

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
}, 40_000)
afterAll(async () => {
  killAll()
  await drop()
  await rm(folder, { recursive: true })
})

const listens = (lead: boolean): RegExp => new RegExp(`"lead":${lead},"worker":(\\d+),"msg":"a worker listens"`)
const pidOf = async (server: Running, lead: boolean): Promise<number> => Number((await server.until(listens(lead)))[1])

/** The sum of a metric over its labels. */
function sumOf(text: string, metric: RegExp): number {
  return text
    .split('\n')
    .filter((line) => metric.test(line))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
const answered = /^lockstep_http_request_seconds_count\{route="\/v1\/models"/

it('goes on answering where a worker is killed, replaces it, and counts as one', { timeout: 120_000 }, async () => {
  const server = start(env, 'serve', '--port', '0', '--workers', '2')
  const [, url = ''] = await server.until(/Listening on (\S+)\. 2 workers answer\./)
  await whenReady(url)
  const [lead, other] = [await pidOf(server, true), await pidOf(server, false)]
  expect(lead).not.toBe(other)
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`${url}${path}`)
    const text = await response.text()
    if (!response.ok) throw new Error(`${response.status}: ${text}`)
    return text
  }
  const ask = () => get('/v1/models')

  // several connections, so that both workers have some
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, ask))
  const before = await get('/metrics')
  expect(sumOf(before, answered)).toBe(40)
  expect(sumOf(before, /^lockstep_workers /)).toBe(2)
  expect(before.match(/^lockstep_oldest_transaction_seconds\{/gm)).toHaveLength(1)

  let [sent, failed] = [40, 0]
  const under = new AbortController()
  const load = Array.from({ length: 8 }, async () => {
    while (!under.signal.aborted) {
      sent += 1
      await ask().catch(() => (failed += 1))
    }
  })
  process.kill(lead, 'SIGKILL')
  await server.until(new RegExp(`"worker":${lead},.*"msg":"a worker died, and is replaced"`))
  await server.until(new RegExp(`"lead":true,"worker":(?!${lead})\\d+,"msg":"a worker listens"`))
  under.abort()
  await Promise.all(load)
  // those that were under way in the worker: one for each connection at most
  expect(failed).toBeLessThanOrEqual(8)

  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, ask))
  sent += 40
  await whenReady(url)
  const after = await get('/metrics')
  expect(sumOf(after, answered)).toBeGreaterThanOrEqual(80)
  expect(sumOf(after, answered)).toBeLessThanOrEqual(sent)
  expect(sumOf(after, /^lockstep_workers /)).toBe(2)
  expect(sumOf(after, /^lockstep_workers_replaced_total /)).toBe(1)
  expect(after.match(/^lockstep_oldest_transaction_seconds\{/gm)).toHaveLength(1)
  expect(JSON.parse(await get('/readyz'))).toEqual({ ready: true })

  server.child.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
  expect(() => process.kill(other, 0)).toThrow('ESRCH')
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

it('needs what processes can share', { timeout: 30_000 }, async () => {
  const { code, err } = await lockstep({ LOCKSTEP_DIR: folder }, 'serve', '--workers', '2', '--port', '0')
  expect(code).toBe(1)
  expect(err).toContain('error EMBEDDED_ALONE: Several processes cannot share what is embedded, and "LOCKSTEP_POSTGRES_URL" is not set.')
})

it('ends with what a worker says that cannot begin', { timeout: 30_000 }, async () => {
  const { code, err } = await lockstep(env, 'serve', '--workers', '1', '--port', '0', '--host', '0.0.0.0')
  expect(code).toBe(1)
  expect(err).toMatch(/^error CONFIG_INVALID: The server would listen on "0\.0\.0\.0"/m)
})
