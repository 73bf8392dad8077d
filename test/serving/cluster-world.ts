import { checkpointKey } from '../../online/checkpoint.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineStore } from '../../online/store.ts'
import { asking } from '../services/own-redis.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

const prefix = 'cluster-world'
const airports = Array.from({ length: 40 }, (_, i) => `AP${String(i).padStart(2, '0')}`)

export interface Shard {
  readonly primary: OwnRedis
  readonly replica: OwnRedis
  /** Whose states it holds. */
  readonly airports: readonly string[]
  /** Whether it holds the checkpoint of their view. */
  readonly hasCheckpoint: boolean
}

/** A world whose states of `airport_delays` are in a Redis Cluster of three primaries. */
export interface ClusterWorld {
  readonly world: World
  readonly cluster: TestCluster
  readonly open: () => Promise<OnlineStore>
  readonly shards: readonly Shard[]
  close(): Promise<void>
}

export async function createClusterWorld(): Promise<ClusterWorld> {
  const [world, cluster] = await Promise.all([createWorld('embedded'), testRedisCluster('redis-server')])
  const open = () => openOnlineStore({ redisUrl: cluster.url, redisPrefix: prefix, directory: '/nowhere' })
  const store = await open()
  const rows = airports.map((airport) => `('${airport}', '2001-07-01T11:30:00Z', 25)`)
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ${rows.join(', ')}`)
  await world.materialize('airport_delays', noon, store)
  await store.close()
  const shards = (await cluster.shards()).map(async ({ primary, replica }): Promise<Shard> => {
    if (replica === null) throw new Error('A primary has no replica.')
    const names = await asking(primary.port, (redis) => redis.keys('*'))
    return {
      primary,
      replica,
      airports: airports.filter((airport) => names.some((name) => name.includes(airport))),
      hasCheckpoint: names.includes(redisKey(prefix, checkpointKey('airport_delays@1'))),
    }
  })
  return {
    world,
    cluster,
    open,
    shards: await Promise.all(shards),
    async close() {
      await world.close()
      await cluster.stop()
    },
  }
}

/** The status of the airports' last delay, or the code of the error. */
export async function readDelay(url: string, ...of: readonly string[]): Promise<string> {
  const { status, body } = await ask(url, '/v1/features', { service: 'flight', entities: of.map((airport) => ({ airport, distance: 1 })) })
  return status === 200 ? body.results.map(({ statuses }) => String(statuses['lastDelay'])).join(' ') : body.error.code
}
