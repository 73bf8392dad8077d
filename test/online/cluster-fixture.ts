import { openOnlineStore } from '../../online/open-store.ts'
import { asking } from '../services/own-redis.ts'
import type { RedisServer } from '../services/redis-server.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import type { StoreFixture } from './store-contract.ts'

/** A store in a separate cluster, for the contract. */
export async function clusterFixture(server: RedisServer): Promise<StoreFixture> {
  const cluster = await testRedisCluster(server)
  const config = { redisUrl: cluster.url, redisPrefix: 'contract', directory: '/nowhere' }
  return {
    open: () => openOnlineStore(config),
    async empty() {
      for (const { primary } of await cluster.shards()) await asking(primary.port, (redis) => redis.flushall())
    },
    address: ['redis', cluster.url, config.redisPrefix],
    dispose: () => cluster.stop(),
  }
}
