import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { ClusterWorld, Shard } from './cluster-world.ts'
import { createClusterWorld, readDelay } from './cluster-world.ts'
import { until } from './gate.ts'

let made: ClusterWorld
let folder: string
beforeAll(async () => {
  ;[made, folder] = await Promise.all([createClusterWorld(), mkdtemp(join(tmpdir(), 'lockstep-one-down-'))])
})
afterAll(async () => {
  await made?.close()
  await rm(folder, { recursive: true, force: true })
})

it('answers from other slots while the server of a checkpoint is down, and checks it before the first read after', async () => {
  const { world, open, shards } = made
  const home = shards.find(({ hasCheckpoint }) => hasCheckpoint) as Shard
  const lost = home.airports
  const others = shards.flatMap(({ hasCheckpoint, airports }) => (hasCheckpoint ? [] : airports))
  expect([lost.length > 0, others.length > 0]).toEqual([true, true])

  // no loop looks at the views while the server is down
  const { url, server } = await world.serve({ store: open, pollMs: 3_600_000 })
  await server.whenReady()
  const read = (airport = '') => readDelay(url, airport)
  expect(await read(lost[0])).toBe('PRESENT')
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))

  const watching = await open()
  const dead = home.primary
  const back = await remember(dead)
  for (const { replica } of shards) await replica.stop()
  for (const { primary } of shards) await asking(primary.port, (redis) => redis.config('SET', 'cluster-require-full-coverage', 'no'))
  process.kill(dead.pid, 'SIGKILL')
  expect(await read(lost[0])).toBe('REDIS_UNAVAILABLE')
  // failures in a row, as many as open a circuit breaker
  expect(await Promise.all(Array.from({ length: 10 }, () => read(lost[0])))).toEqual(Array.from({ length: 10 }, () => 'REDIS_UNAVAILABLE'))
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))
  // only the checkpoint says whether an absent state means that the entity was never seen
  expect(await read('NOBODY')).toBe('REDIS_UNAVAILABLE')
  expect(await Promise.all(others.map(read))).toEqual(others.map(() => 'PRESENT'))

  // one that refuses reads because another one is down is not reported in its place
  const [strict] = shards.filter(({ hasCheckpoint }) => !hasCheckpoint) as [Shard]
  const ofStrict = async (requireAll: string) =>
    await asking(strict.primary.port, async (redis) => {
      await redis.config('SET', 'cluster-require-full-coverage', requireAll)
      await redis.cluster('SETSLOT', 0, 'STABLE') // the node looks at its state again
      const answer = () => redis.get('any').catch(String)
      await until(async () => String(await answer()).includes('CLUSTERDOWN') === (requireAll === 'yes'))
    })
  await ofStrict('yes')
  const states = await watching.ping()
  expect(states.flatMap(({ server, answers }) => (answers === false ? [server] : []))).toEqual([`127.0.0.1:${dead.port}`])
  expect(states.find(({ server }) => server === `127.0.0.1:${strict.primary.port}`)?.answers).toBeNull()
  await ofStrict('no')
  await watching.close()

  const empty = await back()
  let first = ''
  await until(async () => (first = await read(lost[0])) !== 'REDIS_UNAVAILABLE')
  expect(first).toBe('NOT_READY')
  expect(await read(others[0])).toBe('NOT_READY')
  await server.close()
  await empty.stop()
})

/** Returns what starts the node again, empty, with its place in the cluster. */
async function remember({ port }: OwnRedis): Promise<() => Promise<OwnRedis>> {
  const nodes = join(folder, 'nodes.conf')
  const setting = (name: string) => asking(port, async (redis) => String((await redis.config('GET', name))[1]))
  const [busPort, directory] = await Promise.all([setting('cluster-port'), setting('dir')])
  await copyFile(join(directory, 'nodes.conf'), nodes)
  const args = ['--cluster-enabled', 'yes', '--cluster-port', busPort, '--cluster-config-file', nodes, '--cluster-node-timeout', '2500']
  return () => ownRedis('redis-server', { port, args: [...args, '--cluster-require-full-coverage', 'no'] })
}
