/**
 * The point-in-time join at full size: 3,000,000 flights under an index on key and time, and a spine of 1,000,000 of
 * them in random order. All ratios compare times of the same run, the least of several alternating rounds:
 *
 *     ratio_floor          the join (latest value and 24 h mean) over draining, by the same driver and without decoding, the two ordered streams that it reads
 *     ratio_lateral        the same join over PostgreSQL's own LATERAL … ORDER BY … LIMIT 1 for the latest value alone, whose values are compared as well
 *     ratio_export         the whole export to Parquet, 12 features over 4 windows, over the floor
 *     ratio_duckdb         the join for the latest value over DuckDB's ASOF JOIN on its own copy in memory
 *     peak_rss_mb          of an export, by the rows of its spine
 *     ratio_windows        eight windows (1 h to 30 d) over one, for count, sum and mean; `windows` has the other aggregates, on a smaller spine
 *     ratio_mappings       six views under four keys over four times the floor
 *     small_spine_*_ms     1,000 rows of a spine against the full table
 *
 *     LOCKSTEP_POSTGRES_URL=… npm run bench -- point-in-time [--json]
 *
 * It works in its own database and drops it. `ordered` has the same figures for a spine in time order, where LATERAL
 * finds its pages in the cache; `covering` for an index that also holds the columns.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compileService } from '../kernel/compile-service.ts'
import { compileView } from '../kernel/compile-view.ts'
import { aggregateResultType } from '../kernel/result-type.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { AggregateName, FeatureSpec } from '../kernel/specs/view-spec.ts'
import { createDataset } from '../offline/datasets/dataset.ts'
import { ingestFile } from '../offline/ingest/ingest.ts'
import { joinSpine } from '../offline/join.ts'
import { openSpine } from '../offline/spine/open-spine.ts'
import type { Spine } from '../offline/spine/spine.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadDefinitions } from '../registry/load/load-definitions.ts'
import { loadConfig } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { migrateDatabase } from '../runtime/postgres/migrated.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { limitHeapGrowth } from '../runtime/v8-flags.ts'
import { clock, inOwnPlace, inProcess, peakRssMb, tell } from './in-process.ts'
import { duckdbAsofSeconds } from './point-in-time/duckdb.ts'
import type { ReadStream } from './streams.ts'
import { drain, recording } from './streams.ts'

const flights = join(import.meta.dirname, '../node_modules/vega-datasets/data/flights-3m.parquet')
const { values: args } = parseArgs({
  options: { json: { type: 'boolean', default: false }, step: { type: 'string' }, folder: { type: 'string' } },
})
const config = loadConfig()

/** Spines: a sample in random order, the same sample in time order, a small part of it, and all flights. */
const sampled = 'select date, origin, destination, distance, delay > 15 as late from sampled'
const spines = {
  sampled,
  ordered: `${sampled} order by date`,
  fewer: `${sampled} limit 200000`,
  small: `${sampled} limit 1000`,
  all: 'select date, origin, destination, distance, delay > 15 as late from flights',
}
const plainIndex = 'create index flights_origin on flights (origin collate "C", date)'
const coveringIndex = 'create index flights_origin on flights (origin collate "C", date) include (delay, _row, _xid)'

const otherAggregates = ['min', 'max', 'first', 'last', 'variance', 'stddev', 'distinctCount'] as const

const steps: Readonly<Record<string, (db: Database, folder: string) => Promise<unknown>>> = {
  setup,
  join: (db) => joinAndPeers(db, spines.sampled, 3),
  ordered: (db) => joinAndPeers(db, spines.ordered, 2),
  export: exportOverFloor,
  rss1m: (db, folder) => exportRss(db, folder, spines.sampled),
  rss3m: (db, folder) => exportRss(db, folder, spines.all),
  windows,
  others: otherWindows,
  mappings,
  small,
  covering,
}

if (args.step === undefined) await measure()
else await step(args.step, args.folder as string)

async function measure(): Promise<void> {
  if (config.postgresUrl === null) {
    process.stderr.write('Set LOCKSTEP_POSTGRES_URL to a server that the bench may use.\n')
    process.exitCode = 2
    return
  }
  await inOwnPlace(config.postgresUrl, async ({ folder, env }) => {
    const run = async <Result>(key: string): Promise<Result> => {
      const result = await inProcess<Result>(import.meta.filename, key, folder, env)
      if (!args.json) process.stdout.write(`${key}: ${JSON.stringify(result)}\n`)
      return result
    }
    await run('setup')
    const result = {
      join: await run<Peers>('join'),
      ordered: await run<Peers>('ordered'),
      export: await run<{ ratio: number; seconds: number }>('export'),
      rss1m: await run<number>('rss1m'),
      rss3m: await run<number>('rss3m'),
      windows: await run<{ ratio: number; latestSeconds: number }>('windows'),
      others: await run<Record<string, number>>('others'),
      mappings: await run<{ ratio: number }>('mappings'),
      small: await run<Record<string, number>>('small'),
      covering: await run<Peers>('covering'),
    }
    process.stdout.write(`${JSON.stringify(await summary(result))}\n`)
  })
}

interface Result {
  readonly join: Peers
  readonly ordered: Peers
  readonly covering: Peers
  readonly export: { readonly ratio: number; readonly seconds: number }
  readonly rss1m: number
  readonly rss3m: number
  readonly windows: { readonly ratio: number; readonly latestSeconds: number }
  readonly others: Readonly<Record<string, number>>
  readonly mappings: { readonly ratio: number }
  readonly small: Readonly<Record<string, number>>
}

async function summary(of: Result): Promise<Record<string, unknown>> {
  const duckdb = await duckdbAsofSeconds(flights, 3)
  const ratios = ({ joinSeconds, floorSeconds, lateralSeconds }: Peers) => ({
    ratio_floor: round(joinSeconds / floorSeconds),
    ratio_lateral: round(joinSeconds / lateralSeconds),
  })
  return {
    ...ratios(of.join),
    ratio_export: round(of.export.ratio),
    ratio_duckdb: round(of.windows.latestSeconds / duckdb.seconds),
    peak_rss_mb: { '1000000': of.rss1m, '3000000': of.rss3m },
    ratio_windows: round(of.windows.ratio),
    ratio_mappings: round(of.mappings.ratio),
    ...of.small,
    windows: of.others,
    ordered: ratios(of.ordered),
    covering: ratios(of.covering),
    seconds: { ...of.join, export: of.export.seconds, duckdb: duckdb.seconds },
    differing_rows: of.join.differing + of.ordered.differing + of.covering.differing,
  }
}

async function step(key: string, folder: string): Promise<void> {
  limitHeapGrowth() // as the command line does
  const db = openPostgres(config.postgresUrl as string)
  const result = await (steps[key] as (typeof steps)[string])(db, folder)
  await db.close()
  await tell(folder, key, result)
}

async function setup(db: Database): Promise<number> {
  await migrateDatabase(db.kysely)
  await db.script(await readFile(join(import.meta.dirname, '../examples/flights/schema.sql'), 'utf8'))
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'point-in-time/definitions.ts')))
  const { rows } = await ingestFile(db, (await loadCatalog(db)).source('outbound'), flights)
  await db.script(`${plainIndex};
    create index on flights (destination collate "C", date);
    create index on flights (origin collate "C", destination collate "C", date);
    create index on flights (distance, date);
    create table sampled as select * from flights order by hashint8(_row) limit 1000000;
    analyze sampled`)
  await db.query('vacuum analyze flights')
  return rows
}

interface Peers {
  readonly joinSeconds: number
  readonly floorSeconds: number
  readonly lateralSeconds: number
  readonly differing: number
}

async function joinAndPeers(db: Database, sql: string, rounds: number): Promise<Peers> {
  const service = (await loadCatalog(db)).service('latest_and_mean')
  const spine = await openSpine(db, service, { sql })
  const lateral = `SELECT s."_lockstep_ordinal", l.delay FROM ${spine.table} s LEFT JOIN LATERAL (
    SELECT f.delay FROM flights f WHERE f.origin COLLATE "C" = s.origin AND f.date <= s.date ORDER BY f.date DESC, f._row DESC LIMIT 1) l ON true`
  const { streams, latest } = await joinedOnce(db, service, spine)
  const times = { join: Infinity, floor: Infinity, lateral: Infinity }
  for (let round = 0; round < rounds; round++) {
    times.floor = Math.min(times.floor, await clock(() => drain(db, streams)))
    times.join = Math.min(times.join, await clock(() => joinSpine(db, service, spine, {}, () => {})))
    times.lateral = Math.min(times.lateral, await clock(() => drain(db, [{ select: lateral }])))
  }
  const differing = await differingRows(db, lateral, latest)
  await spine.drop()
  return { joinSeconds: times.join, floorSeconds: times.floor, lateralSeconds: times.lateral, differing }
}

/** The ordered streams of lookups and of source rows. */
function isFloor({ select }: ReadStream): boolean {
  return select.includes('ORDER BY') && !select.includes('ORDER BY s."_lockstep_ordinal"')
}

/** The columns that the join reads, and the latest value of each row of the spine. */
async function joinedOnce(db: Database, service: ServicePlan, spine: Spine): Promise<{ streams: ReadStream[]; latest: (Value | null)[] }> {
  const streams: ReadStream[] = []
  const latest: (Value | null)[] = []
  await joinSpine(recording(db, streams), service, spine, {}, ({ values }) => {
    for (const value of values[0] ?? []) latest.push(value)
  })
  return { streams: streams.filter(isFloor), latest }
}

async function differingRows(db: Database, lateral: string, latest: readonly (Value | null)[]): Promise<number> {
  let differing = 0
  let rows = 0
  await db.snapshot(async (snapshot) => {
    for await (const { bytes, starts } of snapshot.tuples(lateral)) {
      for (const start of starts) {
        const ordinal = Number(bytes.readBigInt64BE(start + 6))
        const value = bytes.readInt32BE(start + 14) < 0 ? null : bytes.readDoubleBE(start + 18)
        rows++
        if (!Object.is(latest[ordinal - 1] ?? null, value)) differing++
      }
    }
  })
  return differing + Math.abs(rows - latest.length)
}

async function covering(db: Database): Promise<Peers> {
  await db.script(`drop index flights_origin; ${coveringIndex}`)
  await db.query('vacuum analyze flights')
  return await joinAndPeers(db, spines.sampled, 2)
}

/** Drains the streams that a join of the latest value and the 24 h mean reads. */
async function floorSeconds(db: Database): Promise<() => Promise<number>> {
  const service = (await loadCatalog(db)).service('latest_and_mean')
  const spine = await openSpine(db, service, { sql: spines.sampled })
  const { streams } = await joinedOnce(db, service, spine)
  return () => clock(() => drain(db, streams))
}

async function exportOverFloor(db: Database, folder: string): Promise<{ ratio: number; seconds: number; rows: number }> {
  const service = (await loadCatalog(db)).service('twelve')
  const floor = await floorSeconds(db)
  let [seconds, least, rows] = [Infinity, Infinity, 0]
  for (let round = 0; round < 2; round++) {
    least = Math.min(least, await floor())
    const out = join(folder, `export-${round}.parquet`)
    seconds = Math.min(seconds, await clock(async () => (rows = (await exportTo(db, service, out, spines.sampled)).spine.rows)))
  }
  return { ratio: seconds / least, seconds, rows }
}

async function exportRss(db: Database, folder: string, sql: string): Promise<number> {
  await exportTo(db, (await loadCatalog(db)).service('twelve'), join(folder, 'rss.parquet'), sql)
  return peakRssMb()
}

/** A flight does not see itself: its own row holds its label. */
async function exportTo(db: Database, service: ServicePlan, out: string, sql: string) {
  return await createDataset(db, service, { spine: { sql }, out, overwrite: true, asOf: 'before' })
}

async function windows(db: Database): Promise<{ ratio: number; latestSeconds: number }> {
  const catalog = await loadCatalog(db)
  const spine = await openSpine(db, catalog.service('one_window'), { sql: spines.sampled })
  const seconds = async (name: string) => await clock(() => joinSpine(db, catalog.service(name), spine, {}, () => {}))
  let [one, eight, latest] = [Infinity, Infinity, Infinity]
  for (let round = 0; round < 2; round++) {
    one = Math.min(one, await seconds('one_window'))
    eight = Math.min(eight, await seconds('eight_windows'))
    latest = Math.min(latest, await seconds('latest'))
  }
  return { ratio: eight / one, latestSeconds: latest }
}

/** For each aggregate, eight windows over one, on 200,000 rows of the spine. */
async function otherWindows(db: Database): Promise<Record<string, number>> {
  const catalog = await loadCatalog(db)
  const spine = await openSpine(db, catalog.service('one_window'), { sql: spines.fewer })
  const ratios: Record<string, number> = {}
  for (const aggregate of otherAggregates) {
    const seconds = async (view: string) => {
      const service = withAggregate(catalog.view(view).spec, aggregate)
      return await clock(() => joinSpine(db, service, spine, {}, () => {}))
    }
    const one = await seconds('one_window')
    ratios[aggregate] = round((await seconds('eight_windows')) / one)
  }
  return ratios
}

/** A view with only that aggregate of the delay, in each of its windows. */
function withAggregate(spec: ReturnType<typeof compileView>['spec'], aggregate: AggregateName): ServicePlan {
  const features = spec.features.flatMap((feature): FeatureSpec[] => {
    if (feature.kind !== 'window' || feature.aggregate !== 'mean') return []
    const type = aggregateResultType(aggregate, { kind: 'float64' })
    return type === null ? [] : [{ ...feature, aggregate, type }]
  })
  const plan = compileView({ spec: { ...spec, features }, code: null, fingerprint: aggregate })
  return compileService({
    spec: {
      name: 'other',
      version: 1,
      members: [{ kind: 'view', use: { view: plan.id, alias: null, key: ['origin'] }, features: features.map(({ name }) => name) }],
    },
    fingerprint: aggregate,
    views: new Map([[plan.id, plan]]),
    onDemand: new Map(),
  })
}

async function mappings(db: Database): Promise<{ ratio: number; seconds: number }> {
  const service = (await loadCatalog(db)).service('mappings')
  const floor = await floorSeconds(db)
  const spine = await openSpine(db, service, { sql: spines.sampled })
  let [seconds, least] = [Infinity, Infinity]
  for (let round = 0; round < 2; round++) {
    seconds = Math.min(seconds, await clock(() => joinSpine(db, service, spine, {}, () => {})))
    least = Math.min(least, await floor())
  }
  return { ratio: seconds / (4 * least), seconds }
}

/** The median of several joins, after one warm-up. */
async function small(db: Database): Promise<Record<string, number>> {
  const catalog = await loadCatalog(db)
  const result: Record<string, number> = {}
  for (const [key, name] of Object.entries({ latest: 'latest', '1h': 'hourly', '24h': 'daily' })) {
    const spine = await openSpine(db, catalog.service(name), { sql: spines.small })
    const times: number[] = []
    for (let round = 0; round < 8; round++) times.push(await clock(() => joinSpine(db, catalog.service(name), spine, {}, () => {})))
    result[`small_spine_${key}_ms`] = Math.round(1000 * (times.slice(1).sort((a, b) => a - b)[3] as number))
    await spine.drop()
  }
  return result
}

function round(ratio: number): number {
  return Math.round(ratio * 100) / 100
}
