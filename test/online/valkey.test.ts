import { openOnlineStore } from '../../online/open-store.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import { clusterFixture } from './cluster-fixture.ts'
import { storeContract } from './store-contract.ts'

storeContract('Valkey', async () => {
  const server = await ownRedis('valkey-server')
  return {
    open: () => openOnlineStore({ redisUrl: server.url, redisPrefix: 'contract', directory: '/nowhere' }),
    async empty() {
      await asking(server.port, (redis) => redis.flushall())
    },
    address: ['redis', server.url, 'contract'],
    dispose: () => server.stop(),
  }
})

storeContract('Valkey Cluster', () => clusterFixture('valkey-server'))
