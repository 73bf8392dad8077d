import { Registry } from 'prom-client'
import { createRedisStore } from '../../../online/redis-store.ts'
import type { FaultPoint } from '../../../runtime/fault-point.ts'
import { armFaultPoint } from '../../../runtime/fault-point.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../../runtime/redis/redis.ts'
import { createServer } from '../../../serving/server.ts'

/**
 * For tests that kill it: answers requests, sends its URL once it is ready, and dies at the fault point that it is
 * sent.
 */
const [postgresUrl = '', redisUrl = '', prefix = ''] = process.argv.slice(2)
const server = createServer({
  config: { bodyLimitBytes: 100_000 },
  database: async () => openPostgres(postgresUrl),
  store: async () => createRedisStore({ redis: openRedis(redisUrl), prefix }),
  log: createLogger('silent'),
  metrics: new Registry(),
  clock: () => Date.now() * 1000,
  pollMs: 1000,
  lead: false,
})
const { url } = await server.listen('127.0.0.1', 0)
await server.whenReady()
process.on('message', (point) => {
  armFaultPoint(point as FaultPoint) // the test sends one
  process.send?.('armed')
})
process.send?.(url)
