import { Registry } from 'prom-client'
import { createRedisStore } from '../../../online/redis-store.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../../runtime/redis/redis.ts'
import { createServer } from '../../../serving/server.ts'
import { createPipelineMetrics } from '../../../serving/streaming/pipeline-metrics.ts'
import { runPipelines } from '../../../serving/streaming/run-pipelines.ts'

// A separate process that runs all pipelines until SIGTERM, with a short time until redelivery. It sends its parent the
// lines that it logs, and 'ready':
// `DATABASE_URL REDIS_URL PREFIX STREAM_REDIS_URL NATS_URL KAFKA_URL REDELIVER_MS`.
const [database = '', redis = '', prefix = '', streamRedisUrl = '', natsUrl = '', kafkaUrl = '', redeliverMs = ''] = process.argv.slice(2)
const log = createLogger('info', { write: (line) => void (process.connected && process.send?.(line)) })
const metrics = new Registry()
const server = createServer({
  config: { bodyLimitBytes: 100_000 },
  database: async () => openPostgres(database),
  store: async () => createRedisStore({ redis: openRedis(redis), prefix }),
  log,
  metrics,
  clock: () => Date.now() * 1000,
  pollMs: 1000,
  lead: false,
})
server.start()
await server.whenReady()
process.send?.('ready')
const stopped = new AbortController()
process.once('SIGTERM', () => stopped.abort())
const config = { streamRedisUrl, natsUrl, kafkaUrl, bodyLimitBytes: 10_000, futureMicros: 600_000_000 }
const deps = { predicting: server.predicting, config, metrics: createPipelineMetrics(metrics), log }
await runPipelines(deps, { signal: stopped.signal, redeliverMs: Number(redeliverMs) })
await server.close()
process.disconnect?.()
