import { cp, mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import { createDataset } from '../../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../../offline/datasets/dataset-manifest.ts'
import { createDuckDbEngine } from '../../../offline/duckdb/duckdb-engine.ts'
import { openDuckDb } from '../../../offline/duckdb/open-duckdb.ts'
import { registerDataset } from '../../../offline/datasets/register-dataset.ts'
import { createTrainingBaseline } from '../../../monitoring/baselines/create-training-baseline.ts'
import { datasetBaseline } from '../../../monitoring/baselines/baseline.ts'
import { verifyDataset } from '../../../offline/datasets/verify-dataset.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import { isObjectUrl } from '../../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../../runtime/storage/open-store.ts'
import { during, openServer } from '../../opened-database.ts'
import { environmentMs, ownGcs, ownS3 } from '../../services/buckets.ts'
import { parquetOfQuery } from './parquet-of-query.ts'

// What the engine does with files that are wrong, and with those of a training set that is made again.

const opened = during(() => openServer())
let folder: string
let flight: ServicePlan
const inFolder = (name: string): string => (isObjectUrl(name) ? name : join(folder, name))
const landings = `select timestamp '2026-01-01' + n * interval '7 minutes' as date, null::timestamp as landed_at, n::float8 as delay, n as distance, 'x' as origin,
  (array['A', 'B', null])[n % 3 + 1] as destination, array[n, 2]::float4[] as gates, n::int8 as codes from generate_series(1, 60) n`
const departures = `select timestamp '2026-01-01' + n * interval '9 minutes' as date, 'AA' as carrier, n % 2 as fleet, n as seats from generate_series(1, 40) n`
const spine = `select timestamp '2026-01-01 05:00' + n * interval '11 minutes' as at, 'A' as airport, 'B' as origin, 'AA' as carrier, n % 3 as fleet, n as booked
  from generate_series(1, 30) n`

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-engine-'))
  const { db } = opened()
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, '../../serving/engines/definitions.ts')))
  flight = (await loadCatalog(db)).service('flight')
  await parquetOfQuery(db, landings, inFolder('landings-1.parquet'))
  await parquetOfQuery(db, landings.replace('generate_series(1, 60)', 'generate_series(61, 90)'), inFolder('landings-2.parquet'))
  await parquetOfQuery(db, departures, inFolder('departures.parquet'))
  await parquetOfQuery(db, spine, inFolder('spine.parquet'))
  await parquetOfQuery(db, spine.replace("'A' as airport", "'A' as airport, 'B' as destination, n::int8 as big"), inFolder('wide.parquet'))
})
afterAll(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true })
})

async function create(
  out: string,
  sources: Readonly<Record<string, readonly string[]>>,
  options: {
    readonly service?: ServicePlan
    readonly spine?: string
    readonly sql?: string
    readonly sample?: { fraction: number; seed: number }
    readonly declared?: Readonly<Record<string, { readonly patterns: readonly string[]; readonly fromMicros: number | null }>>
  } = {},
): Promise<DatasetManifest> {
  const paths = Object.entries(sources).map(([name, files]) => [name, files.map(inFolder)] as const)
  const declared = new Map(Object.entries(options.declared ?? {}))
  const engine = await createDuckDbEngine({ sources: new Map(paths), declared, threads: 1, memory: '200MB' })
  try {
    const input = options.sql === undefined ? { file: inFolder(options.spine ?? 'spine.parquet') } : { sql: options.sql }
    const { sample, service = flight } = options
    return await createDataset(opened().db, service, { spine: input, time: 'at', out: inFolder(out), engine, ...(sample && { sample }) })
  } finally {
    await engine.close()
  }
}

const all = { landings: ['landings-*.parquet'], departures: ['departures.parquet'] }

async function refused(sources: Readonly<Record<string, readonly string[]>>, options: Parameters<typeof create>[2] = {}): Promise<unknown> {
  const error: unknown = await create('refused.parquet', sources, options).catch((thrown: unknown) => thrown)
  await expect(stat(join(folder, 'refused.parquet'))).rejects.toMatchObject({ code: 'ENOENT' })
  return error
}

const says = (code: string, ...words: readonly string[]): object =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(words.join('.*'), 's')) as string }) as object

describe('a training set of files', () => {
  it('is registered with its files, has a baseline, and is the same when it is made again', async () => {
    const { db } = opened()
    const manifest = await create('set.parquet', all)
    expect(manifest.engine?.sources.map(({ source, files }) => [source, files.map(({ path }) => path)])).toEqual([
      ['landings', [inFolder('landings-1.parquet'), inFolder('landings-2.parquet')]],
      ['departures', [inFolder('departures.parquet')]],
    ])
    expect(manifest.source).toEqual({ xmin: 0, droppedRows: { landings: 30, departures: 0 }, heldBackRows: {} })
    expect(manifest.unchecked?.toSorted()).toEqual([
      expect.stringMatching(/source "departures", .* the label of their own row\. In that case/),
      expect.stringMatching(
        /source "landings", .* the label of their own row if its "landed_at" is null or not later than its event time\. In/,
      ),
    ])
    const stored = await db.query<{ id: string }>('select id from lockstep.datasets')
    expect(stored).toEqual([{ id: manifest.id }])
    const verdict = await verifyDataset(db, manifest, () => flight, {})
    expect(verdict.differences).toEqual([])
    // the same bytes at another time are the same file
    await utimes(inFolder('departures.parquet'), 1, 1)
    expect((await verifyDataset(db, manifest, () => flight, {})).equal).toBe(true)
    await parquetOfQuery(db, departures.replace('1, 40', '1, 41'), inFolder('departures.parquet'))
    const { equal, differences } = await verifyDataset(db, manifest, () => flight, {})
    expect({ equal, differences }).toEqual({ equal: false, differences: [expect.stringMatching(/departures\.parquet.*has changed/)] })
  })

  it('keeps byte order marks at the beginning of texts', async () => {
    const { db } = opened()
    const mark = String.fromCharCode(0xfeff)
    const keys = ['', mark, `${mark}A`, mark + mark, 'Z']
    const texts = (column: string): string => `(array[${keys.map((key) => `'${key}'`).join(', ')}])[n % 5 + 1] as ${column}`
    await parquetOfQuery(
      db,
      landings.replace("'x' as origin", texts('origin')).replace(/\(array\['A.* as destination/, texts('destination')),
      inFolder('marked-rows.parquet'),
    )
    await parquetOfQuery(
      db,
      spine
        .replace("'A' as airport", texts('airport'))
        .replace("'B' as origin", texts('origin'))
        .replace('n % 3 as', "'\uFEFFnote' as note, n % 3 as"),
      inFolder('marked-spine.parquet'),
    )
    await create('marked.jsonl', { ...all, landings: ['marked-rows.parquet'] }, { spine: 'marked-spine.parquet' })
    const lines = (await readFile(inFolder('marked.jsonl'), 'utf8')).trim().split('\n')
    const rows = lines.map((line) => JSON.parse(line) as { airport: string; note: string; origins: readonly string[] })
    expect(rows.map(({ airport, note, origins }) => [airport, note, origins])).toEqual(
      rows.map((_, n) => {
        const key = keys[(n + 1) % 5] as string
        return [key, `${mark}note`, [key, key, key]]
      }),
    )
  })

  it('reads the files that are named, whatever their names look like', async () => {
    const { db } = opened()
    const plain = await create('plain.parquet', all)
    await mkdir(inFolder('carrier=BB'))
    await cp(inFolder('departures.parquet'), inFolder('carrier=BB/departures[1].parquet'))
    await parquetOfQuery(db, departures.replace('1, 40', '1, 1'), inFolder('carrier=BB/departures1.parquet'))
    const odd = await create('odd.parquet', { ...all, departures: ['carrier=BB/departures?1*.parquet'] })
    expect(odd.engine?.sources[1]?.files.map(({ path }) => path)).toEqual([inFolder('carrier=BB/departures[1].parquet')])
    expect(odd.file.sha256).toBe(plain.file.sha256)
    const named = await create('named.parquet', { ...all, departures: ['carrier=BB/departures[1].parquet'] })
    expect(named.file.sha256).toBe(plain.file.sha256)
  })

  it('reads the files that a source declares, from its first time on', async () => {
    const { db } = opened()
    const from = '2026-01-01T05:10:00Z'
    await parquetOfQuery(db, `select * from (${landings.replace('1, 60', '1, 90')}) l where date >= '${from}'`, inFolder('newer.parquet'))
    const newer = await create('newer-set.parquet', { ...all, landings: ['newer.parquet'] })
    const { departures: _, ...others } = all
    const rest = { patterns: [inFolder('departures.parquet')], fromMicros: null }
    const some = { patterns: [inFolder('landings-{1,2}.parquet')], fromMicros: Date.parse(from) * 1000 }
    const declared = { departures: rest, landings: some }
    const set = await create('declared.parquet', {}, { declared })
    expect(set.file).toMatchObject({ rows: newer.file.rows, sha256: newer.file.sha256 })
    expect(set.source).toEqual(newer.source)
    expect(set.engine?.sources.map(({ source, from: first, files }) => [source, first, files.length])).toEqual([
      ['landings', '2026-01-01T05:10:00Z', 2],
      ['departures', undefined, 1],
    ])
    expect(await verifyDataset(db, set, () => flight, {})).toMatchObject({ equal: true })
    // files that are named replace those that are declared
    const named = await create('named-files.parquet', others, { declared })
    expect(named.file.sha256).not.toBe(set.file.sha256)

    await mkdir(inFolder('seats=3'))
    await parquetOfQuery(db, `select date, carrier, fleet from (${departures}) d`, inFolder('seats=3/a.parquet'))
    const inFolders = { ...declared, departures: { patterns: [inFolder('seats=*/*.parquet')], fromMicros: null } }
    expect(await refused({}, { declared: inFolders })).toEqual(says('UNSUPPORTED', '"seats" of the source "departures" is in the folders'))
  })

  it('reads no row groups that end before the first time of a source', async () => {
    const duckdb = await openDuckDb({})
    const rows = landings.replaceAll('float', 'FLOAT').replace('generate_series(1, 60) n', 'range(4096) t (n)')
    await duckdb.rows(`COPY (${rows}) TO '${inFolder('groups.parquet')}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`)
    await duckdb.close()
    const fromMicros = Date.UTC(2026, 0, 1, 0, 2048 * 7) * 1000
    // questions that see rows of the second group
    await parquetOfQuery(opened().db, spine.replace('2026-01-01 05:00', '2026-01-15'), inFolder('later.parquet'))
    const declared = { landings: { patterns: [inFolder('groups.parquet')], fromMicros } }
    const options = { declared, spine: 'later.parquet' }
    const complete = await create('of-groups.parquet', { departures: all.departures }, options)
    const bytes = await readFile(inFolder('groups.parquet'))
    await writeFile(inFolder('groups.parquet'), bytes.fill(0, 4, 200))
    const damaged = await create('of-damaged.parquet', { departures: all.departures }, options)
    expect(damaged.file.sha256).toBe(complete.file.sha256)
    const fromStart = { landings: { patterns: [inFolder('groups.parquet')], fromMicros: 0 } }
    expect(await refused({ departures: all.departures }, { declared: fromStart })).toEqual(says('FILE_UNREADABLE', 'DuckDB could not read'))
    await parquetOfQuery(opened().db, landings.replace('n * interval', 'nullif(n, 7) * interval'), inFolder('timeless.parquet'))
    const timeless = { landings: { patterns: [inFolder('timeless.parquet')], fromMicros } }
    expect(await refused({ departures: all.departures }, { declared: timeless })).toEqual(
      says('INVALID_ROW', '"landings"', 'has no event time'),
    )
  })

  it('can be registered from a folder that another engine has written', async () => {
    const { db } = opened()
    const scored = (await loadCatalog(db)).service('scored')
    const own = await create('own.parquet', all, { service: scored, spine: 'wide.parquet' })
    const output = inFolder('written')
    await mkdir(output)
    await cp(inFolder('own.parquet'), join(output, 'part-0.parquet'))
    const rule = { rule: { knowledge: 'bitemporal', freshness: 'served' }, bound: 'at', knownBefore: null } as const
    const register = (time = 'at', service = scored, overwrite = false): Promise<DatasetManifest> =>
      registerDataset(db, service, { folder: output, time, rule, outputs: [], overwrite })
    await expect(register()).rejects.toEqual(says('FILE_UNREADABLE', 'written', '"_SUCCESS"'))
    await writeFile(join(output, '_SUCCESS'), '')
    await writeFile(join(output, '_ignored.parquet'), '')
    await expect(register('asked')).rejects.toEqual(says('COLUMNS_MISMATCH', 'part-0', '"asked"'))
    await expect(register('carrier')).rejects.toEqual(says('COLUMNS_MISMATCH', '"carrier"', 'not a timestamp'))
    await expect(register('at', flight)).rejects.toEqual(says('COLUMNS_MISMATCH', '"lateShare"'))
    const made = await register()
    expect(made.spine).toEqual({ ...own.spine, from: { file: output }, order: 'given' })
    expect(made).toMatchObject({
      path: output,
      engine: { name: 'external', sources: [] },
      columns: own.columns,
      missingRequired: own.missingRequired,
      incomplete: own.incomplete,
      rule: own.rule,
      views: own.views,
      statistics: own.file.statistics,
      file: { path: join(output, 'part-0.parquet'), rows: own.file.rows, bytes: own.file.bytes, sha256: own.file.sha256 },
    })
    // the same baseline, but for the reasons why values are missing
    const [first, second] = await Promise.all([own, made].map(({ id }) => datasetBaseline(db, id)))
    const bare = (each: typeof first) =>
      Array.from(each?.columns.values() ?? [], (column) => ({ ...column, statuses: undefined, origin: undefined }))
    expect([bare(second), second?.entities]).toEqual([bare(first), first?.entities])
    expect((await verifyDataset(db, made, () => scored, {})).equal).toBe(true)
    await expect(register()).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    // its baseline cannot be made again without its engine
    await expect(createTrainingBaseline(db, scored, { id: made.id, manifest: made }, {})).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await cp(inFolder('set.parquet'), join(output, 'part-0.parquet'))
    const { differences } = await verifyDataset(db, made, () => scored, {})
    expect(differences).toEqual([expect.stringMatching(/part-0\.parquet" was changed/)])
    // lists of texts cannot be read back
    const lists = await register('at', flight, true)
    expect(lists.unchecked?.filter((sentence) => sentence.includes('no baseline'))).toHaveLength(4)
    expect(await datasetBaseline(db, lists.id)).toBeNull()
  })

  it('is refused where DuckDB fails after it has given rows', async () => {
    const db = await openDuckDb({ threads: 1 })
    let rows = 0
    const read = async (sql: string): Promise<void> => {
      for await (const { rowCount } of db.stream(sql)) rows += rowCount
    }
    try {
      const failing = read(`select if(i = 500000, error('late'), 1) from range(1000000) r(i)`)
      await expect(failing).rejects.toEqual(says('FILE_UNREADABLE', 'stopped before the last row', '--memory'))
      expect(rows).toBeGreaterThan(0)
      rows = 0
      await read('select 1 from range(300000)')
      expect(rows).toBe(300_000)
    } finally {
      await db.close()
    }
  })

  it('is refused where files are missing, or named for another source', async () => {
    expect(await refused({ departures: ['departures.parquet'] })).toEqual(says('SOURCE_MISSING', '"landings"', '--source landings='))
    expect(await refused({ ...all, landings: ['none-*.parquet'] })).toEqual(says('FILE_UNREADABLE', 'none-', '"landings"'))
    expect(await refused({ ...all, others: ['departures.parquet'] })).toEqual(says('USAGE', '"others"', '"landings"'))
  })

  it('is refused for columns that are missing, of another type, or out of range, which it names', async () => {
    const { db } = opened()
    const withBad = async (select: string): Promise<unknown> => {
      await parquetOfQuery(db, `select ${select} from (${departures}) d`, inFolder('bad.parquet'))
      return await refused({ ...all, departures: ['bad.parquet'] })
    }
    expect(await withBad('date, carrier, fleet')).toEqual(says('SOURCE_MISSING', '"departures"', '"seats"'))
    expect(await withBad('date, carrier, fleet, seats::text as seats')).toEqual(says('SOURCE_TYPE_MISMATCH', '"seats"', 'int32'))
    expect(await withBad('date, carrier, fleet, seats::int8 * 1000000000 as seats')).toEqual(says('FILE_UNREADABLE', 'INT32'))
    expect(await withBad('case when seats < 40 then date end as date, carrier, fleet, seats')).toEqual(
      says('INVALID_ROW', '"departures"', 'no event time'),
    )
    const seatsOf = async (seats: string): Promise<unknown> => {
      await parquetOfQuery(db, `select date, carrier, fleet, ${seats} as seats from (${departures}) d`, inFolder('bad.parquet'))
      return await refused({ ...all, departures: ['departures.parquet', 'bad.parquet'] })
    }
    expect(await seatsOf('seats + 0.7::float8')).toEqual(says('SOURCE_TYPE_MISMATCH', '"departures"', 'INTEGER, DOUBLE', '"seats"'))
    await writeFile(inFolder('bad.parquet'), 'PAR1 and no more')
    expect(await refused({ ...all, departures: ['bad.parquet'] })).toEqual(says('FILE_UNREADABLE', 'bad.parquet'))
  })

  it('is refused for a spine that it cannot read, or that the service cannot use', async () => {
    const { db } = opened()
    const withSpine = async (query: string): Promise<unknown> => {
      await parquetOfQuery(db, query, inFolder('other.parquet'))
      return await refused(all, { spine: 'other.parquet' })
    }
    expect(await refused(all, { sql: 'select 1' })).toEqual(says('USAGE', 'FILE.parquet'))
    expect(await refused(all, { sample: { fraction: 0.5, seed: 1 } })).toEqual(says('USAGE', '--sample'))
    expect(await withSpine(`select at, airport, origin, fleet, booked from (${spine}) s`)).toEqual(says('SPINE_INVALID', '"carrier"'))
    expect(await withSpine(`select *, array[1.5]::float4[] as price from (${spine}) s`)).toEqual(says('SPINE_INVALID', '"price"'))
    expect(await withSpine(`select at, airport, origin, carrier, fleet, nullif(booked, 3) as booked from (${spine}) s`)).toEqual(
      says('MISSING_REQUEST_VALUE', 'Row 3 ', '"booked"'),
    )
    expect(
      await withSpine(`select nullif(at, '2026-01-01 05:22') as at, airport, origin, carrier, fleet, booked from (${spine}) s`),
    ).toEqual(says('SPINE_INVALID', 'Row 2 ', 'no time'))
  })
})

describe.each([
  ['s3', ownS3],
  ['gs', ownGcs],
] as const)('a training set in object storage (%s)', (scheme, own) => {
  let storage: { stop(): void }
  const url = (name: string): string => `${scheme}://engine/${name}`
  beforeAll(async () => {
    storage = await own('engine')
  }, environmentMs)
  afterAll(() => storage?.stop())

  async function upload(local: string, name: string, overwrite = false): Promise<void> {
    const writer = await (await openObjectStore(url(name))).write(url(name), { overwrite })
    await writer.write(await readFile(inFolder(local)))
    await writer.seal()
    await writer.commit()
  }

  it('has the bytes of one on a disk, and pins its files by their ETags', async () => {
    const { db } = opened()
    const onDisk = await create(`${scheme}-on-disk.parquet`, all)
    for (const name of ['landings-1.parquet', 'landings-2.parquet', 'departures.parquet', 'spine.parquet']) await upload(name, name)
    const declared = { departures: { patterns: [url('departures.parquet')], fromMicros: null } }
    const set = await create(url('set.parquet'), { landings: [url('landings-*.parquet')] }, { declared, spine: url('spine.parquet') })
    expect(set).toMatchObject({ path: url('set.parquet'), spine: { from: { file: url('spine.parquet') } } })
    expect(set.file.sha256).toBe(onDisk.file.sha256)

    // a folder stands for the Parquet files below it, here and there
    await mkdir(inFolder('rows/day'), { recursive: true })
    await mkdir(inFolder('rows/_delta_log'), { recursive: true })
    await writeFile(inFolder('rows/_delta_log/1.parquet'), 'these are no columns')
    for (const [from, to] of [
      ['landings-1.parquet', 'rows/day/1.parquet'],
      ['landings-2.parquet', 'rows/2.parquet'],
    ] as const) {
      await cp(inFolder(from), inFolder(to))
      await upload(from, to)
    }
    for (const [i, landed] of ['rows/', url('rows/')].entries()) {
      const ofFolder = await create(`${scheme}-of-folder-${i}.parquet`, { landings: [landed], departures: ['departures.parquet'] })
      expect(ofFolder.engine?.sources[0]?.files).toHaveLength(2)
      expect(ofFolder.file.sha256).toBe(onDisk.file.sha256)
    }
    const store = await openObjectStore(url(''))
    const pins = await Promise.all(
      ['landings-1.parquet', 'landings-2.parquet', 'departures.parquet'].map(async (name) => {
        const found = await store.head(url(name))
        return { path: url(name), bytes: found?.bytes, etag: found?.etag }
      }),
    )
    expect(set.engine?.sources).toEqual([
      { source: 'landings', files: pins.slice(0, 2) },
      { source: 'departures', files: pins.slice(2) },
    ])
    expect(await verifyDataset(db, set, () => flight, {})).toMatchObject({ equal: true })
    await upload('landings-2.parquet', 'departures.parquet', true)
    const { equal, differences } = await verifyDataset(db, set, () => flight, {})
    expect({ equal, differences }).toEqual({
      equal: false,
      differences: [expect.stringMatching(`"${url('departures.parquet')}".*its ETag is`)],
    })
  })

  it('needs only the columns that it reads of its files', async () => {
    const { db } = opened()
    const noise = `select md5(n::text || i::text) from generate_series(1, 40) i`
    const wide = `select l.*, array_to_string(array(${noise}), '') as noise from (${landings.replace('1, 60', '1, 3000')}) l, lateral (select codes as n) c`
    await parquetOfQuery(db, wide, inFolder('noise.parquet'))
    await upload('noise.parquet', 'noise.parquet')
    const { size } = await stat(inFolder('noise.parquet'))
    const store = await openObjectStore(url(''))
    const reads = vi.spyOn(store, 'read')
    const set = await create(`${scheme}-of-wide.parquet`, { ...all, landings: [url('noise.parquet')] })
    const read = reads.mock.calls.reduce((sum, [, { from, to }]) => sum + to - from, 0)
    reads.mockRestore()
    expect(size).toBeGreaterThan(2 * 2 ** 20)
    expect(read).toBeLessThan(size / 2)
    expect(set.file.sha256).toBe((await create(`${scheme}-of-wide-disk.parquet`, { ...all, landings: ['noise.parquet'] })).file.sha256)
  })

  it('is refused for objects that are missing or damaged, which it names', async () => {
    expect(await refused({ ...all, landings: [url('none.parquet')] })).toEqual(says('FILE_UNREADABLE', url('none'), '"landings"'))
    expect(await refused(all, { spine: url('none.parquet') })).toEqual(says('FILE_UNREADABLE', url('none')))
    await writeFile(inFolder('short.parquet'), 'PAR1 and no more')
    await upload('short.parquet', 'short.parquet')
    expect(await refused({ ...all, landings: [url('short.parquet')] })).toEqual(says('FILE_UNREADABLE', url('short')))
  })
})
