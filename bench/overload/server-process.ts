/** The server of `bench/overload.ts`. Prints its port and an API key, and ends on SIGTERM. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { migrate } from '../../migrations/migrate.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import { pushModel } from '../../registry/models/models.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { createServer } from '../../serving/server.ts'
import { servingSet } from '../../test/serving/definitions.ts'
import { forgetKeys } from '../forget-keys.ts'

const now = Date.UTC(2001, 6, 1, 12) * 1000
const [redisUrl] = process.argv.slice(2)
const directory = await mkdtemp(join(tmpdir(), 'lockstep-overload-'))
const db = await openPglite(join(directory, 'postgres'))
const prefix = `overload-${process.pid}`
const store =
  redisUrl === undefined ? openEmbeddedStore(join(directory, 'online')) : createRedisStore({ redis: openRedis(redisUrl), prefix })
await migrate(db.kysely)
await applyChanges(db, servingSet)
await db.script(`
  insert into lockstep_source.landings (airport, at, delay)
  select 'A' || n % 500, timestamptz '2001-07-01 12:00Z' - n * interval '4 seconds', n % 60 from generate_series(1, 20000) n
`)
const view = (await loadCatalog(db)).view('airport_delays')
await materializeView(db, store, view, { moment: now })
const bytes = await readFile(new URL('../../test/serving/fixtures/logistic.onnx', import.meta.url))
await pushModel(db, { model: 'delay', bytes, contract: await inspectModel(bytes) })
const { text } = await createKey(db, { name: '', scopes: ['predict'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null })
const server = createServer({
  config: { bodyLimitBytes: 1 << 20 },
  database: async () => db,
  store: async () => store,
  log: createLogger('error', { write: () => undefined }),
  metrics: createMetricsRegistry(),
  clock: () => now,
})
const { port } = await server.listen('127.0.0.1', 0)
await server.whenReady()
process.stdout.write(`${port} ${text}`)
process.on('SIGTERM', () => {
  void (async () => {
    await server.close()
    if (redisUrl !== undefined) await forgetKeys(redisUrl, prefix)
    await rm(directory, { recursive: true, force: true })
    process.exit(0)
  })()
})
