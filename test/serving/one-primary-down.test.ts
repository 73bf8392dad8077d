import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkpointKey } from '../../online/checkpoint.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

const prefix = 'one-down'
const airports = Array.from({ length: 40 }, (_, i) => `AP${String(i).padStart(2, '0')}`)

let world: World
let cluster: TestCluster
let folder: string
beforeAll(async () => {
  ;[world, cluster, folder] = await Promise.all([
    createWorld('embedded'),
    testRedisCluster('redis-server'),
    mkdtemp(join(tmpdir(), 'lockstep-one-down-')),
  ])
})
afterAll(async () => {
  await world?.close()
  await cluster?.stop()
  await rm(folder, { recursive: true, force: true })
})

it('answers from other slots while the server of a checkpoint is down, and checks it before the first read after', async () => {
  const open = () => openOnlineStore({ redisUrl: cluster.url, redisPrefix: prefix, directory: '/nowhere' })
  const store = await open()
  const rows = airports.map((airport) => `('${airport}', '2001-07-01T11:30:00Z', 25)`)
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ${rows.join(', ')}`)
  await world.materialize('airport_delays', noon, store)
  await store.close()

  const shards = await cluster.shards()
  const keys = await Promise.all(shards.map(({ primary }) => asking(primary.port, (redis) => redis.keys('*'))))
  const home = keys.findIndex((names) => names.includes(redisKey(prefix, checkpointKey('airport_delays@1'))))
  const isHome = (airport: string) => keys[home]?.some((name) => name.includes(airport)) === true
  const [lost, others] = [airports.filter(isHome), airports.filter((airport) => !isHome(airport))]
  expect([lost.length > 0, others.length > 0]).toEqual([true, true])

  // no loop looks at the views while the server is down
  const { url, server } = await world.serve({ store: open, pollMs: 3_600_000 })
  await server.whenReady()
  const read = async (airport = ''): Promise<string> => {
    const { status, body } = await ask(url, '/v1/features', { service: 'flight', entities: [{ airport, distance: 1 }] })
    return status === 200 ? String(body.results[0]?.statuses['lastDelay']) : body.error.code
  }
  expect(await read(lost[0])).toBe('PRESENT')
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))

  const dead = (shards[home] as (typeof shards)[number]).primary
  const back = await remember(dead)
  for (const { replica } of shards) await replica?.stop()
  for (const { primary } of shards) await asking(primary.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  process.kill(dead.pid, 'SIGKILL')
  expect(await read(lost[0])).toBe('REDIS_UNAVAILABLE')
  // failures in a row, as many as open a circuit breaker
  expect(await Promise.all(Array.from({ length: 10 }, () => read(lost[0])))).toEqual(Array.from({ length: 10 }, () => 'REDIS_UNAVAILABLE'))
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))
  // only the checkpoint says whether an absent state means that the entity was never seen
  expect(await read('NOBODY')).toBe('REDIS_UNAVAILABLE')
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))

  const empty = await back()
  let first = ''
  await until(async () => (first = await read(lost[0])) !== 'REDIS_UNAVAILABLE')
  expect(first).toBe('NOT_READY')
  expect(await read(others[0])).toBe('NOT_READY')
  await server.close()
  await empty.stop()
}, 120_000)

/** Returns what starts the node again, empty, with its place in the cluster. */
async function remember({ port }: OwnRedis): Promise<() => Promise<OwnRedis>> {
  const nodes = join(folder, 'nodes.conf')
  const setting = (name: string) => asking(port, async (redis) => String((await redis.config('GET', name))[1]))
  const [busPort, directory] = await Promise.all([setting('cluster-port'), setting('dir')])
  await copyFile(join(directory, 'nodes.conf'), nodes)
  const args = ['--cluster-enabled', 'yes', '--cluster-port', busPort, '--cluster-config-file', nodes, '--cluster-node-timeout', '500']
  return () => ownRedis('redis-server', { port, args: [...args, '--cluster-require-full-coverage', 'no'] })
}
