import { consumeStream } from '../../../materializer/streams/consume-stream.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'

// A separate process that reads the stream of "clicks", reports when events are committed, and then stops there:
// `DATABASE_URL STREAM_URL`.
const [url = '', stream = ''] = process.argv.slice(2)
const db = openPostgres(url)
const catalog = await loadCatalog(db)
const spec = catalog.streams.get('clicks')
if (spec === undefined) throw new Error('The source "clicks" has no stream.')
await consumeStream(
  {
    db,
    consumer: openConsumer({ streamRedisUrl: stream, natsUrl: stream, kafkaUrl: stream }, spec, {
      redeliverMs: spec.kind === 'kafka' ? 4_000 : 1_000,
    }),
    source: catalog.source('clicks'),
    spec,
    fold: async () => {
      process.send?.('committed')
      await new Promise(() => undefined)
    },
    metrics: { messages: () => undefined, lag: () => undefined, failure: () => undefined, overCap: () => undefined },
    log: createLogger('silent'),
    clock: () => Date.now() * 1000,
  },
  { signal: new AbortController().signal, futureMicros: 600_000_000, messageLimitBytes: 1024 },
)
