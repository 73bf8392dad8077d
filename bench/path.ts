/**
 * The offline path at full size: ingests the 3,000,000 flights of `vega-datasets`, exports a training set and
 * materializes the views. Each step runs in a separate process, so that its peak memory can be measured. Each is
 * compared with a floor that the same driver reaches in the same run:
 *
 *     ingest        COPY of bytes that are already encoded, into a table of the same shape
 *     export        draining the ordered streams that the join reads, without decoding
 *     materialize   draining the ordered stream of the view
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- path [--spine-every 3] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { SourceSpec } from '../kernel/specs/view-spec.ts'
import { materializeView } from '../materializer/runs/materialize.ts'
import { createDataset } from '../offline/datasets/dataset.ts'
import { ingestFile } from '../offline/ingest/ingest.ts'
import { joinSpine } from '../offline/join.ts'
import { openSpine } from '../offline/spine/open-spine.ts'
import { openOnlineStore } from '../online/open-store.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadDefinitions } from '../registry/load/load-definitions.ts'
import { loadConfig } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { migrateDatabase } from '../runtime/postgres/migrated.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { openRedis } from '../runtime/redis/redis.ts'
import { limitHeapGrowth } from '../runtime/v8-flags.ts'
import { clock, inOwnPlace, inProcess, peakRssMb, tell } from './in-process.ts'
import type { ReadStream } from './streams.ts'
import { drain, recording } from './streams.ts'

interface Figure {
  readonly rows: number
  readonly seconds: number
  readonly floorSeconds: number
  readonly peakRssMb: number
}

const flights = join(import.meta.dirname, '../node_modules/vega-datasets/data/flights-3m.parquet')
const airports = join(import.meta.dirname, '../node_modules/vega-datasets/data/airports.csv')
const example = join(import.meta.dirname, '../examples/flights')
const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    'spine-every': { type: 'string', default: '3' },
    step: { type: 'string' },
    folder: { type: 'string' },
  },
})
const spineSql = `select date, origin, destination, distance, delay > 15 as late from flights where _row % ${Number(args['spine-every'])} = 0`
const steps = { ingest, export: exportSet, materialize }
const config = loadConfig()

if (args.step === undefined) await measure()
else await step(args.step as keyof typeof steps)

async function measure(): Promise<void> {
  if (config.postgresUrl === null || config.redisUrl === null) {
    process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
    process.exitCode = 2
    return
  }
  const { redisUrl } = config
  await inOwnPlace(config.postgresUrl, async ({ folder, name, env }) => {
    try {
      const figures: Record<string, Figure> = {}
      for (const key of Object.keys(steps)) {
        const figure = await inProcess<Figure>(import.meta.filename, key, folder, env, ['--spine-every', args['spine-every']])
        figures[key] = figure
        if (!args.json) process.stdout.write(`${describe(key, figure)}\n`)
      }
      if (args.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
    } finally {
      const redis = openRedis(redisUrl)
      await redis.unlink(`${name}:store`)
      await redis.quit()
    }
  })
}

function describe(key: string, { rows, seconds, floorSeconds, peakRssMb }: Figure): string {
  const rate = Math.round(rows / seconds).toLocaleString('en')
  return `${key}: ${rows.toLocaleString('en')} rows in ${seconds.toFixed(1)} s (${rate} rows/s), ${(seconds / floorSeconds).toFixed(2)} x the floor of ${floorSeconds.toFixed(1)} s, peak RSS ${peakRssMb} MB`
}

async function step(key: keyof typeof steps): Promise<void> {
  limitHeapGrowth() // as the command line does
  const db = openPostgres(config.postgresUrl as string)
  const figure = await steps[key](db, args.folder as string)
  await db.close()
  await tell(args.folder as string, key, figure)
}

/** Runs the work, records the peak memory so far, then runs the floor, which reports its own seconds. */
async function timed(work: () => Promise<number>, floor: () => Promise<number>): Promise<Figure> {
  let rows = 0
  const seconds = await clock(async () => (rows = await work()))
  const peak = peakRssMb()
  return { rows, seconds, floorSeconds: await floor(), peakRssMb: peak }
}

async function ingest(db: Database): Promise<Figure> {
  await migrateDatabase(db.kysely)
  await db.script(await readFile(join(example, 'schema.sql'), 'utf8'))
  await applyChanges(db, await loadDefinitions(join(example, 'features.ts')))
  const catalog = await loadCatalog(db)
  await ingestFile(db, catalog.source('airports'), airports)
  return await timed(
    async () => (await ingestFile(db, catalog.source('departures'), flights)).rows,
    async () => {
      const encoded = await encode(db, catalog.source('departures'))
      await db.script('create table twin (like flights including all)')
      return await clock(() =>
        db.copyIn('copy twin (date, delay, distance, origin, destination) from stdin (format binary)', chunks(encoded)),
      )
    },
  )
}

/** The bytes that ingest would send. */
async function encode(db: Database, source: SourceSpec): Promise<Buffer[]> {
  const encoded: Buffer[] = []
  const copyIn: Database['copyIn'] = async (_copy, bytes) => {
    for await (const chunk of bytes) encoded.push(Buffer.from(chunk))
    return encoded.length
  }
  await ingestFile({ ...db, copyIn }, source, flights)
  return encoded
}

async function* chunks(encoded: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  yield* encoded
}

async function exportSet(db: Database, folder: string): Promise<Figure> {
  const service = (await loadCatalog(db)).service('flight_features')
  const out = join(folder, 'train.parquet')
  return await timed(
    async () => (await createDataset(db, service, { spine: { sql: spineSql }, out, asOf: 'before' })).spine.rows,
    async () => {
      const spine = await openSpine(db, service, { sql: spineSql })
      const read: ReadStream[] = []
      await joinSpine(recording(db, read), service, spine, { bound: 'before' }, () => {})
      const seconds = await clock(() => drain(db, read))
      await spine.drop()
      return seconds
    },
  )
}

async function materialize(db: Database): Promise<Figure> {
  const store = await openOnlineStore(config)
  const plan = (await loadCatalog(db)).view('airport_delays')
  const read: ReadStream[] = []
  const figure = await timed(
    async () => (await materializeView(recording(db, read), store, plan)).rows,
    () => clock(() => drain(db, read)),
  )
  await store.removeView(plan.id)
  await store.close()
  return figure
}
