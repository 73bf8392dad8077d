import { storeContract } from './store-contract.ts'
import { clusterFixture } from './cluster-fixture.ts'

storeContract('Redis Cluster', () => clusterFixture('redis-server'))
