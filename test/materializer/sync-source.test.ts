import { mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { readHeader } from '../../kernel/states/stored-state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { SourceSyncResult, SourceSyncSpec, SyncTools } from '../../materializer/sources/sync-source.ts'
import { beginSourceSync, sourceSyncs } from '../../materializer/sources/sync-source.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { beginExport } from '../../offline/distributed-export/begin-export.ts'
import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import { createDuckDbEngine } from '../../offline/duckdb/duckdb-engine.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { ingestFile } from '../../offline/ingest/ingest.ts'
import { readStoredFiles } from '../../offline/source-files/stored-files.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { awaitJob, jobFailure } from '../../runtime/jobs/await-job.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import { parquetOfQuery } from '../offline/duckdb/parquet-of-query.ts'
import { openEmbedded } from '../opened-database.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import type { OwnS3 } from '../services/buckets.ts'
import { environmentMs, ownS3 } from '../services/buckets.ts'
import { materializerFixture, moment } from './fixture.ts'

// Parquet files that feed sources: on a disk, and in an S3.

const day = 86_400_000_000
/** By which a sync rebuilds states. */
const today = Date.now() * 1000
const fixture = materializerFixture()
let folder: string
let s3: OwnS3
let tools: SyncTools

beforeAll(async () => {
  s3 = await ownS3('lake')
  folder = await mkdtemp(join(tmpdir(), 'lockstep-lake-'))
  for (const name of ['lake', 'broken']) await mkdir(join(folder, name))
  const { db, store } = fixture().open('embedded')
  tools = { db, store, catalog: () => loadCatalog(db) }
  await applyChanges(db, await definitions())
}, environmentMs)
afterAll(async () => {
  s3?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** `days` is of Hive's folders. `late` takes only rows of the second day and later. */
async function definitions(change: (text: string) => string = (text) => text) {
  const text = `
  import { count, entity, featureService, featureView, last, mean, parquetFiles, source, sum, t } from 'lockstep'
  const card = entity('card', { key: { card: t.string } })
  const rest = { key: { card: 'card' }, eventTime: 'at', known: 'known', columns: { amount: t.float64, shop: t.int32 } }
  const features = { last: last('amount'), rows: count('lifetime'), total: sum('amount', '2d'), shops: mean('shop', '3d') }
  const table = source('table', rest)
  const lake = source('lake', { ...rest, files: parquetFiles('${folder}/lake/') })
  export const ofTable = featureView('of_table', { version: 1, entity: card, source: table, features })
  export const ofLake = featureView('of_lake', { version: 1, entity: card, source: lake, features })
  export const tableFeatures = featureService('table_features', { version: 1, features: [ofTable] })
  export const lakeFeatures = featureService('lake_features', { version: 1, features: [ofLake] })
  const days = source('days', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64, day: t.timestamp, country: t.string },
    files: parquetFiles('s3://lake/days/**/*.parquet') })
  export const ofDays = featureView('of_days', { version: 1, entity: card, source: days, features: { day: last('day'), rows: count('lifetime') } })
  const late = source('late', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64 },
    files: parquetFiles('s3://lake/late/*', { from: '2001-05-03T00:00:00.000001Z' }) })
  export const ofLate = featureView('of_late', { version: 1, entity: card, source: late, features: { rows: count('lifetime') } })
  const broken = source('broken', { ...rest, files: parquetFiles('${folder}/broken/*.parquet') })
  export const ofBroken = featureView('of_broken', { version: 1, entity: card, source: broken, features })
  `
  return await loadDefinitions(join(definitionFiles({ 'lake.ts': change(text) }), 'lake.ts'))
}

const start = Date.parse('2001-05-01T00:00:00Z') * 1000
const types = { card: 'string', at: 'timestamp', known: 'timestamp', amount: 'float64', shop: 'int32' } as const
type Columns = Partial<Record<keyof typeof types, readonly (Value | null)[]>>

async function write(path: string, columns: Columns): Promise<void> {
  const names = Object.keys(columns) as (keyof typeof types)[]
  const typed = names.map((name) => ({ name, type: { kind: types[name] } }))
  const writer = await createDatasetWriter(path, typed, { format: 'parquet', overwrite: true })
  await writer.write(names.map((name) => [...(columns[name] ?? [])]))
  await writer.close()
}

/** Rows of three cards over a day. */
function rowsOf(number: number, count = 50) {
  const each = <T>(of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i))
  const at = each((i) => start + number * day + i * 1_000_000)
  return {
    card: each((i) => ['a', 'b', 'c'][i % 3] as string),
    at,
    known: each((i) => (i % 5 === 0 ? null : (at[i] as number) + 60_000_000)),
    amount: each((i) => (i % 7 === 0 ? null : i / 8)),
    shop: each((i) => i % 4),
  }
}

async function sync(source: string, replace: SourceSyncSpec['replace'] = 'none', workers = 1): Promise<Job> {
  const { id } = await beginSourceSync(tools, source, { replace, by: { actor: 'me@test' }, worker: 'test' })
  const awaited = Array.from({ length: workers }, (_, i) =>
    awaitJob(tools.db, id, { signal: AbortSignal.timeout(100_000), work: { kinds: [sourceSyncs(tools)], worker: `w${i}` } }),
  )
  const [job] = await Promise.all(awaited)
  return job as Job
}

async function synced(source: string, replace: SourceSyncSpec['replace'] = 'none'): Promise<SourceSyncResult> {
  const job = await sync(source, replace)
  const failure = jobFailure(job)
  if (failure !== null) throw failure
  return job.result as SourceSyncResult
}

async function countOf(source: string, where = 'true'): Promise<number> {
  const [row] = await tools.db.query<{ n: number }>(`select count(*)::int4 as n from lockstep_source.${source} where ${where}`)
  return row?.n ?? 0
}

async function statesOf(view: string): Promise<(string | null)[]> {
  const plan = (await tools.catalog()).view(view)
  const keys = ['a', 'b', 'c'].map((card) => ({ view: plan.id, entity: 'card', key: encodeKey(plan.key, [card]) }))
  return (await tools.store.read(keys)).map((bytes) => bytes && bytes.toString('hex', readHeader(bytes, plan.id).bodyAt))
}

describe('a source of Parquet files on a disk', () => {
  const pathOf = (number: number): string => join(folder, `lake/${number}.parquet`)
  const spine = `select card, '2001-05-01'::timestamptz + n * interval '5 hours' as at from generate_series(0, 20) n, (values ('a'), ('b'), ('c'), ('d')) c (card) order by 1, 2`

  it('gives the training set, the manifest and the states that a table with the same rows gives', async () => {
    const catalog = await tools.catalog()
    for (const number of [0, 1, 2]) {
      await write(pathOf(number), rowsOf(number))
      await ingestFile(tools.db, catalog.source('table'), pathOf(number))
    }
    expect(await synced('lake')).toMatchObject({ files: 3, rows: 150, olderRows: 0, present: 0, vanished: 0 })
    const build = (service: string) =>
      createDataset(tools.db, catalog.service(service), { spine: { sql: spine }, out: join(folder, `${service}.parquet`) })
    const [ofTable, ofLake] = [await build('table_features'), await build('lake_features')]
    expect(ofLake.file).toMatchObject({ rows: 84, sha256: ofTable.file.sha256 })
    expect(ofTable.source.files).toBeUndefined()
    const pins = (await readStoredFiles(tools.db, 'lake')).map(({ path, etag, rows }) => ({ path, etag, rows }))
    expect(pins.map(({ path, rows }) => [path, rows])).toEqual([0, 1, 2].map((number) => [pathOf(number), 50]))
    expect(ofLake.source.files).toEqual([{ source: 'lake', files: pins }])
    // a file that is replaced while the set is written is not the one that was read
    const changing: Promise<unknown>[] = []
    const onProgress = (): void => {
      if (changing.length === 0) changing.push(tools.db.query(`update lockstep.source_files set etag = etag || 'x' where source = 'lake'`))
    }
    const options = { spine: { sql: spine }, out: join(folder, 'meanwhile.parquet'), onProgress }
    const meanwhile = await createDataset(tools.db, catalog.service('lake_features'), options)
    await Promise.all(changing)
    expect((await readStoredFiles(tools.db, 'lake'))[0]?.etag).toBe(`${pins[0]?.etag}x`)
    expect(meanwhile.source.files).toEqual([{ source: 'lake', files: pins }])
    await tools.db.query(`update lockstep.source_files set etag = left(etag, -1) where source = 'lake'`)

    // DuckDB reads the same files, and needs no table
    await parquetOfQuery(tools.db, spine, join(folder, 'spine.parquet'))
    const duckDb = await createDuckDbEngine({ sources: new Map(), declared: catalog.files, threads: 1, memory: '200MB' })
    const set = { spine: { file: join(folder, 'spine.parquet') }, out: join(folder, 'duckdb.parquet'), engine: duckDb }
    const ofDuckDb = await createDataset(tools.db, catalog.service('lake_features'), set).finally(() => duckDb.close())
    expect(ofDuckDb.file.sha256).toBe(ofTable.file.sha256)

    const parts = { spine: { sql: spine }, out: join(folder, 'parts'), parts: { count: 2 } }
    const { id } = await beginExport({ jobs: tools.db, worker: 'test' }, catalog.service('lake_features'), parts)

    // a file that arrives later belongs to neither the set nor its manifest
    await write(pathOf(3), rowsOf(3))
    await ingestFile(tools.db, catalog.source('table'), pathOf(3))
    expect(await synced('lake')).toMatchObject({ files: 1, rows: 50, present: 3 })
    expect(await verifyDataset(tools.db, ofLake, catalog.service, {})).toMatchObject({ equal: true })
    const find = (service: string) => Promise.resolve(catalog.service(service))
    const work = { kinds: [exportsInParts({ db: tools.db, find })], worker: 'w' }
    expect(await awaitJob(tools.db, id, { signal: AbortSignal.timeout(100_000), work })).toMatchObject({ state: 'done' })
    const inParts = JSON.parse(await readFile(join(parts.out, 'manifest.json'), 'utf8')) as DatasetManifest
    expect([inParts.otherFiles.length, inParts.source.files]).toEqual([1, ofLake.source.files])
    for (const view of ['of_table', 'of_lake']) await materializeView(tools.db, tools.store, catalog.view(view), { moment })
    expect(await statesOf('of_lake')).toEqual(await statesOf('of_table'))

    // the same name with other content is an error until it is replaced
    const before = await statesOf('of_lake')
    await write(pathOf(1), rowsOf(1, 40))
    await write(pathOf(4), rowsOf(4, 10))
    await expect(synced('lake')).rejects.toMatchObject({
      code: 'FILE_CHANGED',
      message: expect.stringMatching(/"\S+1\.parquet" of the source "lake" is not what was loaded: its ETag is now .* --replace$/),
    })
    expect(await countOf('lake')).toBe(210)
    expect(await synced('lake', 'changed')).toMatchObject({ files: 1, rows: 40, present: 4 })
    expect(await countOf('lake')).toBe(200)
    expect((await verifyDataset(tools.db, ofLake, catalog.service, {})).differences).toContainEqual(
      `The rows of the file "${pathOf(1)}" of the source "lake" were removed or replaced since.`,
    )
    await materializeView(tools.db, tools.store, catalog.view('of_lake'), { moment })
    expect(await statesOf('of_lake')).not.toEqual(before)
    const now = await statesOf('of_lake')
    await materializeView(tools.db, tools.store, catalog.view('of_lake'), { moment, rebuild: true })
    expect(await statesOf('of_lake')).toEqual(now)

    // a file that is gone keeps its rows until they are removed
    await rename(pathOf(2), join(folder, '2.parquet'))
    expect(await synced('lake')).toMatchObject({ files: 0, present: 4, vanished: 1, vanishedFiles: [pathOf(2)] })
    expect(await synced('lake', 'vanished')).toMatchObject({ files: 0, vanished: 1 })
    expect(await countOf('lake')).toBe(150)
    expect(await readStoredFiles(tools.db, 'lake')).toHaveLength(4)
  })

  it('loads each file once if two workers share them, and takes no rows from elsewhere', async () => {
    for (let number = 10; number < 80; number++) await write(pathOf(number), rowsOf(number, 3))
    const rows = await countOf('lake')
    const job = await sync('lake', 'none', 2)
    expect(job).toMatchObject({ state: 'done', chunks: 3, result: { files: 70, rows: 210 } })
    expect(await countOf('lake')).toBe(rows + 210)
    const catalog = await tools.catalog()
    expect(() => catalog.ingestSource('lake')).toThrow('come from the Parquet files')
    expect(() => catalog.pushSource('lake')).toThrow('Its rows come from Parquet files')
  })

  it('names the files that cannot be loaded, and loads the others', async () => {
    const at = (name: string): string => join(folder, 'broken', name)
    await expect(synced('broken')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('There are no files'),
    })
    await write(at('a.parquet'), rowsOf(0))
    await writeFile(at('b.parquet'), 'these are no columns')
    const { amount: _, ...without } = rowsOf(0)
    await write(at('c.parquet'), without)
    await write(at('d.parquet'), rowsOf(1))
    await write(at('e.parquet'), { ...rowsOf(2, 1), card: ['x'.repeat(2_000)] })
    const failure = jobFailure(await sync('broken'))
    expect(failure).toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringMatching(/"broken" was not loaded: The Parquet file "\S+b\.parquet" .* 2 more failed/),
      details: {
        files: [
          { path: at('b.parquet'), code: 'FILE_UNREADABLE' },
          { path: at('c.parquet'), code: 'COLUMNS_MISMATCH' },
          { path: at('e.parquet'), code: 'INVALID_ROW' },
        ],
      },
    })
    expect(failure).toBeInstanceOf(LockstepError)
    const loaded = await readStoredFiles(tools.db, 'broken')
    expect(loaded.map(({ path }) => path)).toEqual([at('a.parquet'), at('d.parquet')])

    // a file that cannot be loaded replaces nothing
    for (const name of ['b', 'c', 'e']) await rm(at(`${name}.parquet`))
    await writeFile(at('a.parquet'), 'these are no columns')
    await write(at('d.parquet'), without)
    const kept = jobFailure(await sync('broken', 'changed'))
    expect(kept).toMatchObject({ code: 'FILE_UNREADABLE', message: expect.not.stringContaining('are deleted') })
    expect(kept?.details['files']).toHaveLength(2)
    expect(await readStoredFiles(tools.db, 'broken')).toEqual(loaded)
    expect(await countOf('broken')).toBe(100)
    // nor does one with a wrong row, which is noticed while its rows are loaded
    await rm(at('d.parquet'))
    const { card, ...others } = rowsOf(2)
    await write(at('a.parquet'), { ...others, card: [...card.slice(1), 'x'.repeat(2_000)] })
    expect(jobFailure(await sync('broken', 'changed'))).toMatchObject({ code: 'INVALID_ROW' })
    expect(await readStoredFiles(tools.db, 'broken')).toEqual(loaded)
    expect(await countOf('broken')).toBe(100)
  })

  it('is replaced once by two syncs at the same time', async () => {
    await write(pathOf(5), rowsOf(5))
    await synced('lake')
    const rows = await countOf('lake')
    await write(pathOf(5), rowsOf(5, 20))
    const results = await Promise.all([sync('lake', 'changed'), sync('lake', 'vanished')])
    expect(results.map(({ state, error }) => [state, error])).toEqual([
      ['done', null],
      ['done', null],
    ])
    expect(await countOf('lake')).toBe(rows - 30)
    const plan = (await tools.catalog()).view('of_lake')
    await materializeView(tools.db, tools.store, plan, { moment: today })
    const now = await statesOf('of_lake')
    await materializeView(tools.db, tools.store, plan, { moment: today, rebuild: true })
    expect(await statesOf('of_lake')).toEqual(now)
  })

  it('says that its table was emptied by hand, and loads all files again on demand', async () => {
    const plan = (await tools.catalog()).view('of_lake')
    await materializeView(tools.db, tools.store, plan, { moment: today })
    const rows = await countOf('lake')
    await tools.db.query('truncate lockstep_source.lake')
    await write(pathOf(6), rowsOf(6, 0))
    await expect(synced('lake')).rejects.toMatchObject({
      code: 'FILE_CHANGED',
      message: expect.stringMatching(/"lake" has no rows, although \d+ of its files were loaded.*lockstep source sync lake --replace$/),
    })
    await synced('lake', 'changed')
    expect(await countOf('lake')).toBe(rows)
    await materializeView(tools.db, tools.store, plan, { moment: today })
    const now = await statesOf('of_lake')
    await materializeView(tools.db, tools.store, plan, { moment: today, rebuild: true })
    expect(await statesOf('of_lake')).toEqual(now)
  })

  it('follows links to files, and not to folders', async () => {
    await mkdir(join(folder, 'elsewhere'))
    await write(join(folder, 'elsewhere/linked.parquet'), rowsOf(7, 3))
    await symlink(join(folder, 'elsewhere/linked.parquet'), pathOf(7))
    await symlink(join(folder, 'elsewhere'), join(folder, 'lake/folder'))
    await symlink(join(folder, 'elsewhere/missing.parquet'), pathOf(8))
    expect(await synced('lake')).toMatchObject({ files: 1, rows: 3 })
    for (const path of [join(folder, 'lake/folder'), pathOf(8)]) await rm(path)
  })

  it('is loaded into an embedded database, too', async () => {
    const opened = await openEmbedded()
    try {
      await applyChanges(opened.db, await definitions())
      const embedded = { db: opened.db, store: tools.store, catalog: () => loadCatalog(opened.db) }
      await write(pathOf(0), rowsOf(0))
      const { id } = await beginSourceSync(embedded, 'lake', { replace: 'none', by: { actor: 'me@test' }, worker: 'test' })
      const work = { kinds: [sourceSyncs(embedded)], worker: 'w' }
      const job = await awaitJob(opened.db, id, { signal: AbortSignal.timeout(100_000), work })
      expect(job).toMatchObject({ state: 'done', result: { files: (await readdir(join(folder, 'lake'))).length } })
    } finally {
      await opened.close()
    }
  })
})

describe('a source of Parquet files in object storage', () => {
  it("takes columns from Hive's folders, and leaves out hidden names", async () => {
    const { card, at, amount } = rowsOf(0, 4)
    const rows = { card, at, amount }
    await write('s3://lake/days/day=2001-05-01/country=C%20H/a.parquet', rows)
    await write('s3://lake/days/day=2001-05-02/country=__HIVE_DEFAULT_PARTITION__/a.parquet', rows)
    await write('s3://lake/days/_tmp/day=2001-05-02/country=x/a.parquet', rows)
    await write('s3://lake/days/day=2001-05-02/country=x/.a.parquet', rows)
    expect(await synced('days')).toMatchObject({ files: 2, rows: 8 })
    const found = await tools.db.query(`select distinct day::text, country from lockstep_source.days order by 1`)
    expect(found).toEqual([
      { day: '2001-05-01 00:00:00+00', country: 'C H' },
      { day: '2001-05-02 00:00:00+00', country: null },
    ])
  })

  it('reads no more than the row groups from the first time on', async () => {
    // 20,000 rows in each row group; incompressible, so that the columns are larger than what comes with the footer
    const count = 60_000
    const at = Array.from({ length: count }, (_, i) => start + Math.floor((i / count) * 3 * day))
    const card = at.map((_, i) => `card ${(i * 2_654_435_761) % 2 ** 32}`)
    const amount = at.map((_, i) => Math.sin(i))
    await write('s3://lake/late/a', { card, at, amount })
    await write('s3://lake/late/b', { card: ['a'], at: [start], amount: [1] })
    const result = await synced('late')
    const from = start + 2 * day + 1
    const kept = at.filter((micros) => micros >= from).length
    expect(result).toMatchObject({ files: 2, rows: kept, olderRows: count - kept + 1 })
    expect(await countOf('late')).toBe(kept)
    expect(await countOf('late', `at < '2001-05-03T00:00:00.000001Z'`)).toBe(0)
    const [file] = await readStoredFiles(tools.db, 'late')
    // of three row groups, two are left out; the third has a first row that is too old
    expect(file?.bytesRead).toBeLessThan((file?.bytes ?? 0) * 0.7)
    expect(file).toMatchObject({ rows: kept, minEvent: new Date('2001-05-03T00:00:04.320Z'), olderRows: count - kept })
    const [all] = await readStoredFiles(tools.db, 'days')
    expect(all?.bytesRead).toBe(all?.bytes)

    // an earlier first time needs rows that were left out
    await applyChanges(tools.db, await definitions((text) => text.replace('2001-05-03T00:00:00.000001Z', '2001-05-02T12:00:00Z')))
    await expect(synced('late')).rejects.toThrow('of its rows were left out by the previous "from"')
    await synced('late', 'changed')
    expect(await countOf('late')).toBe(at.filter((micros) => micros >= start + day * 1.5).length)
  })

  it('says that the credentials are wrong, and loads complete files or none', async () => {
    // the S3 takes any credentials until it has had so many requests
    const checkAfter = async (requests: string) =>
      expect((await fetch(`${s3.settings.AWS_ENDPOINT_URL_S3}/moto-api/reset-auth`, { method: 'POST', body: requests })).status).toBe(200)
    const { card, at, amount } = rowsOf(2, 4)
    const urls = [3, 4, 5].map((number) => `s3://lake/days/day=2001-05-0${number}/country=DE/a.parquet`)
    for (const url of urls) await write(url, { card, at, amount })
    const before = await countOf('days')
    try {
      for (const [requests, files] of [
        [0, 0],
        [2, 1],
      ] as const) {
        await checkAfter(String(requests))
        await expect(synced('days')).rejects.toMatchObject({
          code: 'STORAGE_DENIED',
          message: expect.stringMatching(/"s3:\/\/lake\/days\/.* could not be .*Check the credentials/),
        })
        const loaded = (await readStoredFiles(tools.db, 'days')).filter(({ path }) => urls.includes(path))
        expect(loaded.map(({ path, rows }) => [path, rows])).toEqual(urls.slice(0, files).map((url) => [url, 4]))
        expect(await countOf('days')).toBe(before + 4 * files)
      }
    } finally {
      await checkAfter('inf')
    }
    expect(await synced('days')).toMatchObject({ files: 2, rows: 8, present: 3 })
  })

  it('is looked for new files at the instants of its schedule', async () => {
    await write('s3://lake/late/scheduled', { card: ['s'], at: [start + 4 * day], amount: [1] })
    await applyChanges(tools.db, await definitions((text) => text.replace('00.000001Z', `00.000001Z', schedule: '0 * * * *`)))
    const stop = new AbortController()
    const working = workOnJobs(tools.db, { kinds: [sourceSyncs(tools)], worker: 'w', signal: stop.signal, clock: () => moment })
    await expect.poll(() => countOf('late', `card = 's'`), { timeout: 60_000 }).toBe(1)
    stop.abort()
    await working
    const [job] = await readJobs(tools.db, { kind: sourceSyncs(tools).name, subject: 'late', limit: 1 })
    expect(job).toMatchObject({ spec: { source: 'late', replace: 'none', actor: null }, moment: moment - (moment % 3_600_000_000) })
  })

  it('refuses a file that changes between the listing and the read', async () => {
    const store = await openObjectStore('s3://lake/')
    const url = 's3://lake/late/c'
    await write(url, { card: ['a'], at: [start + 2 * day], amount: [1] })
    const listed = (await store.head(url)) ?? { bytes: 0, etag: '' }
    await write(url, { card: ['a'], at: [start + 2 * day], amount: [2] })
    const { loadSourceFile } = await import('../../offline/source-files/load-source-file.ts')
    const { source, files } = { source: (await tools.catalog()).source('late'), files: { fromMicros: null } }
    const loading = loadSourceFile(tools.db, source, files, { path: url, ...listed }, { actor: 'me', signal: new AbortController().signal })
    await expect(loading).rejects.toMatchObject({ code: 'FILE_CHANGED', message: expect.stringContaining(url) })
    expect(await countOf('late', `card = 'a'`)).toBe(0)
  })
})
