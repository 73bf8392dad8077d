/**
 * The online path at full size: 1,000,000 customers with 52 features in five views. Four views hold ten latest values
 * each, and one holds four aggregates over three windows. Each ratio compares times of the same run:
 *
 *     ratio_bulk            entities/s read as rows of features, 100 at once, over a bare MGET of the same bytes by ioredis
 *     ratio_single          the same, one entity at a time and 64 in flight, over bare MGETs that are batched in the same way
 *     ratio_materialize     rows/s from PostgreSQL into Redis, over the slower of draining the same COPY and storing the same bytes by SETs in pipelines
 *     bytes_per_entity      of the values, and of what is stored for them: keys, headers, tiles; without the overhead of Redis
 *     push_visible_p99_ms   from sending an event over HTTP until a reader's state holds it, 500 events/s, each a separate request
 *     peak_rss_mb           of a process that materializes one view of all customers; the greatest of the five
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- online [--entities 1000000] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both. It needs about 2 GB of Redis memory.
 */
import { parseArgs } from 'node:util'
import { openOnlineStore } from '../online/open-store.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadConfig } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { openRedis } from '../runtime/redis/redis.ts'
import { limitHeapGrowth } from '../runtime/v8-flags.ts'
import { forgetKeys } from './forget-keys.ts'
import { clock, inOwnPlace, inProcess, tell } from './in-process.ts'
import { fillTables, latestViews, views, windowedView } from './online/customers.ts'
import type { Materialized, MaterializeFloor } from './online/materializing.ts'
import { materialized, materializeFloor } from './online/materializing.ts'
import type { Pushed } from './online/pushing.ts'
import { pushed } from './online/pushing.ts'
import type { ReadRatios } from './online/reading.ts'
import { readRatios } from './online/reading.ts'
import type { Sizes } from './online/sizes.ts'
import { bytesPerTile, sizesOf } from './online/sizes.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    entities: { type: 'string', default: '1000000' },
    step: { type: 'string' },
    folder: { type: 'string' },
    stream: { type: 'string' },
  },
})
const customers = Number(args.entities)
const config = loadConfig()
const redisUrl = config.redisUrl as string
const prefix = config.redisPrefix

if (args.step === undefined) await measure()
else await step(args.step, args.folder as string)

async function measure(): Promise<void> {
  if (config.postgresUrl === null || config.redisUrl === null) {
    process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
    process.exitCode = 2
    return
  }
  // the same length as the default prefix
  const own = `b${process.pid}`.padEnd(8, '-')
  await inOwnPlace(config.postgresUrl, async (place) => {
    const { folder } = place
    const env = { ...place.env, LOCKSTEP_REDIS_PREFIX: own }
    const run = async <Result>(key: string, rest: readonly string[] = []): Promise<Result> => {
      const result = await inProcess<Result>(import.meta.filename, key, folder, env, ['--entities', args.entities, ...rest])
      if (!args.json) process.stdout.write(`${key}: ${JSON.stringify(result)}\n`)
      return result
    }
    try {
      await run('setup')
      const written: Written[] = []
      for (const view of views) {
        const { streams, ...own } = await run<Materialized>(`materialize:${view}`)
        written.push({ view, ...own, ...(await run<MaterializeFloor>(`floor:${view}`, ['--stream', JSON.stringify(streams)])) })
      }
      process.stdout.write(
        `${JSON.stringify(summary(written, await run<Reads>('read'), await run<Bytes>('bytes'), await run<Pushed>('push')))}\n`,
      )
    } finally {
      await forgetKeys(redisUrl, own)
    }
  })
}

type Written = Omit<Materialized, 'streams'> & MaterializeFloor & { readonly view: string }
type Reads = Readonly<Record<'whole' | 'latest_only' | 'windows_only', ReadRatios>>
interface Bytes {
  readonly views: Readonly<Record<string, Sizes>>
  readonly perTile: number
}

function summary(written: readonly Written[], reads: Reads, bytes: Bytes, push: Pushed): Record<string, unknown> {
  const latest = latestViews.map((view) => bytes.views[view] as Sizes)
  const windowed = bytes.views[windowedView] as Sizes
  const total = (of: (sizes: Sizes) => number) => Math.round(latest.reduce((sum, sizes) => sum + of(sizes), 0))
  return {
    ratio_bulk: round(reads.whole.bulk),
    ratio_single: round(reads.whole.single),
    ratio_materialize: round(ratioOf(written)),
    bytes_per_entity: {
      latest: {
        values: total(({ values }) => values),
        stored: total(({ key, stored }) => key + stored),
        key: round(total(({ key }) => key) / latest.length),
        overhead_per_key: round(total(({ key, stored, values }) => key + stored - values) / latest.length),
      },
      windowed: {
        values: Math.round(windowed.values),
        stored: Math.round(windowed.key + windowed.stored),
        per_tile: round(bytes.perTile),
      },
    },
    push_visible_p99_ms: round(push.p99Ms),
    peak_rss_mb: Math.max(...written.map(({ peakRssMb }) => peakRssMb)),
    latest: kind(
      reads.latest_only,
      written.filter(({ view }) => view !== windowedView),
    ),
    windowed: kind(
      reads.windows_only,
      written.filter(({ view }) => view === windowedView),
    ),
    push: { p50_ms: round(push.p50Ms), events_per_second: Math.round(push.rate) },
    entities_per_second: { bulk: reads.whole.bulkRate, single: reads.whole.singleRate },
    rows_per_second: Math.round(written.reduce((sum, { rows }) => sum + rows, 0) / written.reduce((sum, { seconds }) => sum + seconds, 0)),
  }
}

function kind(reads: ReadRatios, written: readonly Written[]): Record<string, number> {
  return { ratio_bulk: round(reads.bulk), ratio_single: round(reads.single), ratio_materialize: round(ratioOf(written)) }
}

function ratioOf(written: readonly Written[]): number {
  const sum = (of: (figure: Written) => number) => written.reduce((total, figure) => total + of(figure), 0)
  return (
    Math.max(
      sum(({ drainSeconds }) => drainSeconds),
      sum(({ setSeconds }) => setSeconds),
    ) / sum(({ seconds }) => seconds)
  )
}

async function step(key: string, folder: string): Promise<void> {
  const db = openPostgres(config.postgresUrl as string)
  const [name, view = ''] = key.split(':')
  await tell(folder, key, await outcome(db, name as string, view))
  await db.close()
}

async function outcome(db: Database, name: string, view: string): Promise<unknown> {
  if (name === 'setup') return await clock(() => fillTables(db, customers))
  const catalog = await loadCatalog(db)
  const viewOf = (called: string) => catalog.view(called)
  if (name === 'materialize') {
    limitHeapGrowth() // as the command line does
    const store = await openOnlineStore(config)
    const result = await materialized(db, store, viewOf(view))
    await store.close()
    return result
  }
  if (name === 'floor')
    return await materializeFloor(db, { redisUrl, prefix, plan: viewOf(view), customers }, JSON.parse(args.stream as string))
  if (name === 'push') {
    const store = await openOnlineStore(config)
    const result = await pushed(store, { source: 'profiles', plan: viewOf(latestViews[0] as string), customers })
    await store.close()
    return result
  }
  const redis = openRedis(redisUrl)
  try {
    if (name === 'bytes') {
      const sizes: Record<string, Sizes> = {}
      for (const called of views) sizes[called] = await sizesOf(redis, prefix, viewOf(called), customers)
      return { views: sizes, perTile: await bytesPerTile(redis, prefix, viewOf(windowedView), customers) } satisfies Bytes
    }
    const store = await openOnlineStore(config)
    const ratios: Record<string, ReadRatios> = {}
    for (const service of ['whole', 'latest_only', 'windows_only']) {
      ratios[service] = await readRatios({ redis, store, prefix }, catalog.service(service), customers, Math.min(customers, 20_000))
    }
    await store.close()
    return ratios
  } finally {
    await redis.quit()
  }
}

function round(number: number): number {
  return Math.round(number * 100) / 100
}
