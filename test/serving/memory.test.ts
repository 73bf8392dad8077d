import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openConnection } from '../../bench/overload/connection.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import type { Environment } from '../cli/run-lockstep.ts'
import { budget } from '../budget.ts'
import { killAll, start, whenReady } from '../cli/run-lockstep.ts'
import { testRedis } from '../services/index.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

/**
 * The server collects its garbage when a round asks, so that its size tells what it holds on to, and not how late V8
 * collects.
 */
const collecting = `
  import { setFlagsFromString } from 'node:v8'
  import { runInNewContext } from 'node:vm'
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  let times = 0
  process.on('SIGUSR2', () => {
    collect()
    process.stderr.write('collected ' + ++times + '\\n')
  })
`

const perRound = Math.max(1000, budget(2000))
const [warmUpRounds, rounds] = [6, 12]
/**
 * The least of the last four rounds against the least of the first four: eight rounds lie between them. 1 kB that stays
 * of each of their requests would be 16 MB of 16,000, or 8 MB of 8,000; without a leak it was 1 to 3 MB, and the
 * machine may be busy.
 */
const allowedBytes = 3_000_000 + perRound * 3500

let world: World
let folder: string
let env: Environment

beforeAll(async () => {
  world = await createWorld('embedded')
  folder = await mkdtemp(join(tmpdir(), 'lockstep-memory-'))
  const redis = await testRedis()
  const store = createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix })
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n, now() - n * interval '1 second', n % 60 from generate_series(1, 1000) n
  `)
  await world.materialize('airport_delays', Date.now() * 1000, store)
  await store.close()
  await world.push('delay', 'logistic')
  env = {
    LOCKSTEP_DIR: folder,
    LOCKSTEP_POSTGRES_URL: world.postgresUrl,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_LOG_PREDICTIONS: '0.01',
    NODE_OPTIONS: `--max-semi-space-size=1 --import=data:text/javascript,${encodeURIComponent(collecting)}`,
  }
})
afterAll(async () => {
  killAll()
  await world?.close()
  await rm(folder, { recursive: true })
})

/** No two are the same; their entities are 2000, of which half are not there. One in five is refused. */
function bodyOf(i: number): string {
  const entities = Array.from({ length: i % 20 === 11 ? 20 : 1 + (i % 3) }, (_, k) => ({
    airport: `A${(i * 7 + k * 13) % 2000}`,
    distance: 1 + i,
  }))
  if (i % 20 === 3) return JSON.stringify({ model: `none-${i}`, entities })
  if (i % 20 === 7) return JSON.stringify({ model: 'delay', entities: [{ airport: `A${i}`, distance: `none-${i}` }] })
  if (i % 20 === 13) return `{"model":${i}`
  if (i % 20 === 17) return JSON.stringify({ model: 'delay', entities, [`member${i}`]: i })
  return JSON.stringify({ model: 'delay', entities })
}

it(`retains nothing of ${(warmUpRounds + rounds) * perRound} answered requests`, { timeout: 600_000 }, async () => {
  const server = start(env, 'serve', '--port', '0')
  const [, url = ''] = await server.until(/Listening on (http:\S+\d)/)
  await whenReady(url)
  const { host, port } = new URL(url)
  const statuses = new Map<number, number>()
  let sent = 0
  const request = (): Buffer => {
    const body = bodyOf(sent++)
    const head = `POST /v1/predict HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
    return Buffer.from(`${head}\r\n\r\n${body}`)
  }
  /** Sends what is left of a round over one connection. */
  const send = async (end: number): Promise<void> => {
    let answered: (status: number) => void = () => undefined
    let lost: (error: Error) => void = () => undefined
    const connection = await openConnection(
      Number(port),
      (status) => answered(status),
      () => lost(new Error('a connection was lost')),
    )
    while (sent < end) {
      const status = await new Promise<number>((resolve, reject) => {
        ;[answered, lost] = [resolve, reject]
        connection.send(request())
      })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    connection.close()
  }
  const round = async (): Promise<number> => {
    const end = sent + perRound
    await Promise.all(Array.from({ length: 16 }, () => send(end)))
    server.child.kill('SIGUSR2')
    await server.until(new RegExp(`^collected ${sent / perRound}$`, 'm'))
    const metrics = await (await fetch(`${url}/metrics`)).text()
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1])
  }
  for (let i = 0; i < warmUpRounds; i++) await round()
  const sizes: number[] = []
  for (let i = 0; i < rounds; i++) sizes.push(await round())

  const all = perRound * (warmUpRounds + rounds)
  expect(Object.fromEntries(statuses)).toEqual({ 200: all * 0.8, 400: all * 0.15, 404: all * 0.05 })
  const grown = Math.min(...sizes.slice(-4)) - Math.min(...sizes.slice(0, 4))
  expect(grown, `sizes: ${sizes.join(' ')}`).toBeLessThan(allowedBytes)
  server.child.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
})
