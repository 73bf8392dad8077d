import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { asking, replicated } from '../services/own-redis.ts'
import type { ClusterWorld, Shard } from './cluster-world.ts'
import { createClusterWorld, readDelay } from './cluster-world.ts'
import { until } from './gate.ts'
import { ask } from './world.ts'

/** How long a read of a silent server takes that is not refused. */
const limitMs = 3_000

const opened: ClusterWorld[] = []
afterAll(async () => {
  for (const { pid } of opened.flatMap(({ cluster }) => cluster.nodes)) send(pid, 'SIGKILL')
  await Promise.all(opened.map((made) => made.close()))
})

async function serveCluster(): Promise<ClusterWorld & { readonly url: string }> {
  const made = await createClusterWorld()
  opened.push(made)
  const { server, url } = await made.world.serve({
    store: made.open,
    pollMs: 200,
    config: { bodyLimitBytes: 100_000, maxInFlight: 8 },
  })
  await server.whenReady()
  return { ...made, url }
}

it.concurrent('refuses reads of a silent primary at once, and answers from the others, until it is back', async () => {
  const { world, shards, url } = await serveCluster()
  const [silent, ...rest] = shards as [Shard, ...Shard[]]
  const [lost = '', ...lostToo] = silent.airports
  const others = rest.flatMap(({ airports }) => airports)
  expect(await readDelay(url, lost, ...others)).toBe(present([lost, ...others]))
  expect(await ready(url)).toEqual([200, []])

  for (const { pid } of [silent.replica, silent.primary]) send(pid, 'SIGSTOP')
  // as long as all slots stop with one, nothing can be answered
  await until(async () => (await ready(url))[0] === 503)
  for (const { primary } of rest) await asking(primary.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  const server = `127.0.0.1:${silent.primary.port}`
  const warning = `The server "${server}" of the Redis Cluster does not answer. Entities of its slots cannot be read until it is back or a replica has taken its place.`
  await until(async () => JSON.stringify(await ready(url)) === JSON.stringify([200, [warning]]))

  await until(async () => {
    await Promise.all([lost, ...lostToo].map((airport) => readDelay(url, airport)))
    return (await breakers(url)).get(server) === 1
  })

  // more clients than places: one read at a time looks whether the server is back, and the others do not wait
  const began = performance.now()
  const before = world.logged.length
  const failedSince = (line: number) => world.logged.slice(line).filter((text) => text.includes('a request failed'))
  const refusedOf = (lines: string[]) => lines.filter((line) => line.includes(`of the Redis Cluster has failed several times in a row`))
  let over = false
  const losing = Array.from({ length: 12 }, async () => {
    while (!over) {
      expect(await readDelay(url, lost)).toBe('REDIS_UNAVAILABLE')
      await delay(200)
    }
  })
  try {
    for (const airport of others) expect(await readDelay(url, airport)).toBe('PRESENT')
    expect(await readDelay(url, others[0] ?? '', lost)).toBe('REDIS_UNAVAILABLE')
    await until(async () => refusedOf(failedSince(before)).length > 12)
  } finally {
    over = true
  }
  await Promise.all(losing)
  const failures = failedSince(before)
  expect(failures.length - refusedOf(failures).length).toBeLessThan(2 + (performance.now() - began) / limitMs)
  expect([...(await breakers(url))].filter(([, open]) => open === 1)).toEqual([[server, 1]])

  send(silent.primary.pid, 'SIGCONT')
  await until(async () => (await readDelay(url, lost)) === 'PRESENT')
  await until(async () => JSON.stringify(await ready(url)) === JSON.stringify([200, []]))
  // metrics may be a second old
  await until(async () => (await breakers(url)).get(server) === 0)
  expect(await readDelay(url, ...others)).toBe(present(others))
})

it.concurrent('reads from the replica that takes over, and forgets the primary that was killed', async () => {
  const { world, open, shards, url } = await serveCluster()
  const killed = shards.find(({ hasCheckpoint }) => !hasCheckpoint) as Shard
  const rest = shards.filter((shard) => shard !== killed)
  const { primary, replica, airports } = killed
  const server = `127.0.0.1:${primary.port}`
  for (const each of shards) await asking(each.primary.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  await asking(replica.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  await replicated(primary, replica)
  send(replica.pid, 'SIGSTOP')
  send(primary.pid, 'SIGKILL')
  await until(async () => {
    await Promise.all(airports.map((airport) => readDelay(url, airport)))
    return (await breakers(url)).get(server) === 1
  })
  await until(async () => (await ready(url))[1].some((text) => text.includes(server)))
  const [other = ''] = rest[0]?.airports ?? []
  expect(await readDelay(url, other)).toBe('PRESENT')
  const started = await world.serve({ store: open, pollMs: 200 })
  await until(async () => (await ask(started.url, '/readyz')).status === 200)
  expect(await Promise.all([other, airports[0] ?? ''].map((airport) => readDelay(started.url, airport)))).toEqual([
    'PRESENT',
    'REDIS_UNAVAILABLE',
  ])

  send(replica.pid, 'SIGCONT')
  await until(async () => (await readDelay(url, ...airports)) === present(airports))
  await until(async () => !(await breakers(url)).has(server))
  // the first read may have found it by redirection, and metrics may be a second old
  await until(async () => {
    expect(await readDelay(url, ...airports)).toBe(present(airports))
    return (await breakers(url)).get(`127.0.0.1:${replica.port}`) === 0
  })
  await until(async () => JSON.stringify(await ready(url)) === JSON.stringify([200, []]))
})

function present(airports: readonly string[]): string {
  return airports.map(() => 'PRESENT').join(' ')
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it was killed
  }
}

/** The status of the server, and its warnings about the Redis Cluster. */
async function ready(url: string): Promise<[number, readonly string[]]> {
  const { status, body } = await ask(url, '/readyz')
  return [status, (body.warnings ?? []).filter((text) => text.includes('of the Redis Cluster'))]
}

/** 1: open, by server. */
async function breakers(url: string): Promise<ReadonlyMap<string, number>> {
  const { text } = await ask(url, '/metrics')
  const found = text.matchAll(/^lockstep_breaker_open\{dependency="store",server="(.+)"\} (\d)$/gm)
  return new Map([...found].map(([, server = '', open]) => [server, Number(open)]))
}
