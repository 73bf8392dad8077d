import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Value } from '../../kernel/values/value-type.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import type { ListedFile } from '../../offline/source-files/list-files.ts'
import { createDuckDbEngine } from '../../offline/duckdb/duckdb-engine.ts'
import { listFiles } from '../../offline/source-files/list-files.ts'
import { loadSourceFile } from '../../offline/source-files/load-source-file.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { scheduledBatchSpec } from '../../registry/scheduled-batch-spec.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { createScheduleFirer } from '../../runtime/jobs/fire-schedules.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { ObjectStore } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { BatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import { batchJson, listBatches, readBatch } from '../../serving/batch/batch-json.ts'
import { createBatchOutput } from '../../serving/batch/batch-output.ts'
import type { BatchManifest, BatchRequest } from '../../serving/batch/batch-spec.ts'
import { batchSpec } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import { scheduledBatches } from '../../serving/batch/scheduled-batches.ts'
import { runEngineBatch } from '../../serving/engines/engine-batch.ts'
import { predictSpine } from '../../serving/predict/predict-spine.ts'
import { parquetOfQuery } from '../offline/duckdb/parquet-of-query.ts'
import type { OwnS3 } from '../services/buckets.ts'
import { environmentMs, ownS3 } from '../services/buckets.ts'
import { testDatabase } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { hash, servingSet } from './definitions.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

// Batch inference against PostgreSQL and an S3.

let world: World
let s3: OwnS3
let store: ObjectStore
let jobs: BatchJobs
let folder: string
let file: ListedFile | undefined
const signal = new AbortController().signal

const rows = 144
const spineSql = 'select id, airport, at, distance, label from spine order by id'
const base: BatchRequest = {
  model: 'echo',
  version: null,
  spine: { sql: spineSql },
  time: 'at',
  asOf: 'at',
  knownBefore: null,
  columns: null,
  out: '',
  format: 'parquet',
  mode: 'replace',
  key: null,
  onlineMicros: null,
  rowsPerPart: 50,
  maxRefused: null,
  minRows: null,
  overwrite: false,
}

beforeAll(async () => {
  ;[world, s3, folder] = await Promise.all([createWorld('embedded'), ownS3('predictions'), mkdtemp(join(tmpdir(), 'lockstep-batch-'))])
  store = await openObjectStore('s3://predictions/')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '3 minutes', case when n % 11 = 0 then null else n % 40 end from generate_series(1, 240) n;
    create table spine as
    select n as id, 'A' || n % 9 as airport, timestamptz '2001-07-01' + n * interval '5 minutes' as at, 1.0 + n % 5 as distance, n % 2 = 0 as label from generate_series(1, ${rows}) n;
  `)
  // a file of rows that no entity of the spine has
  const path = join(folder, 'landings.parquet')
  const nulls = 'null::float4 as amount, null::int8 as count, null::text as city, null::bool as open, array[1, 2]::float4[] as vec'
  await parquetOfQuery(world.db, `select 'Z' as airport, timestamptz '2001-07-01' as at, 1::float8 as delay, ${nulls}`, path)
  ;[file] = await listFiles('landings', [path])
  const landings = (await loadCatalog(world.db)).source('landings')
  await loadSourceFile(world.db, landings, { fromMicros: null }, file as ListedFile, { actor: 'test', signal })
  await world.push('echo', 'identity')
  await world.push('strict', 'one')
  await world.push('delay', 'logistic')
  jobs = createBatchJobs({ db: world.db, catalog: () => loadCatalog(world.db), log: createLogger('silent') })
}, environmentMs)

afterAll(async () => {
  await jobs?.close()
  await world?.close()
  s3?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function begin(id: string, change: Partial<BatchRequest>): Promise<{ readonly job: Job; readonly joined: boolean }> {
  const by = { actor: 'test' }
  const request = { ...base, out: `s3://predictions/${id}`, ...change }
  return await beginBatch({ db: world.db, catalog: await loadCatalog(world.db), kind: jobs.kind, worker: 'test', by }, id, request)
}

/** Begins a batch and does all of it. */
async function run(id: string, change: Partial<BatchRequest> = {}): Promise<Job> {
  const { job } = await begin(id, change)
  return await awaitJob(world.db, job.id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
}

/** The answer of the query of deploy/ by which KEDA starts workers. */
async function openSteps(): Promise<number> {
  const file = await readFile(join(rootFolder, 'deploy/kubernetes/batch-scaled-job.yaml'), 'utf8')
  const sql = / query: >-\n((?: {10}.*\n)+)/.exec(file)?.[1] ?? ''
  const [found] = await world.db.query<{ readonly count: number | string }>(sql)
  return Number(found?.count)
}

async function namesIn(out: string): Promise<string[]> {
  const names: string[] = []
  for await (const { url } of store.list(`${out}/`)) names.push(url.slice(out.length + 1))
  return names
}

async function manifestOf(out: string): Promise<BatchManifest> {
  const found = await store.head(`${out}/_manifest.json`)
  const bytes = await store.read(`${out}/_manifest.json`, { from: 0, to: found?.bytes ?? 0 })
  return JSON.parse(Buffer.from(bytes).toString()) as BatchManifest
}

/** The rows of all parts, by name of their columns, in the order of the spine. */
async function rowsOf(manifest: BatchManifest, out: string): Promise<Record<string, unknown>[]> {
  const names = manifest.columns.map(({ name }) => name)
  const found: Record<string, unknown>[] = []
  for (const part of manifest.parts) {
    const file = await openTabularFile(`${out}/${part.name}`)
    expect(file.columns.map(({ name }) => name)).toEqual(names)
    for await (const batch of file.batches(names))
      for (let row = 0; row < batch.rows; row++)
        found.push(Object.fromEntries(names.map((name, i) => [name, batch.columns[i]?.[row] ?? null])))
  }
  return found.toSorted((a, b) => Number(a['_ordinal']) - Number(b['_ordinal']))
}

async function predicted(model: string, sql: string): Promise<(Value | null)[]> {
  const outs: (Value | null)[] = []
  const catalog = await loadCatalog(world.db)
  const asked = { model, spine: { sql }, time: 'at', log: createLogger('silent') }
  await predictSpine(world.db, catalog, asked, (batch) => void outs.push(...(batch.predictions[0] ?? [])))
  return outs
}

describe('a batch', () => {
  it('writes the predictions of every row, then its manifest, then _SUCCESS', async () => {
    const out = 's3://predictions/echo'
    const job = await run('echo', { out })
    expect(job).toMatchObject({ state: 'done', chunks: 3, error: null })
    expect(await namesIn(out)).toEqual(['_SUCCESS', '_manifest.json', 'part-00000.parquet', 'part-00001.parquet', 'part-00002.parquet'])
    const manifest = await manifestOf(out)
    expect(manifest).toMatchObject({ id: 'echo', model: 'echo', version: 1, rows, format: 'parquet' })
    const pinned = { path: join(folder, 'landings.parquet'), etag: file?.etag, rows: 1 }
    expect(manifest.sourceFiles).toEqual([{ source: 'landings', files: [pinned] }])
    expect(manifest.parts.map((part) => part.rows)).toEqual([48, 48, 48])
    expect(manifest.columns.map(({ name }) => name)).toEqual(['id', 'airport', 'at', 'distance', 'label', '_ordinal', 'out', '_status'])
    expect(manifest.cpuSeconds).toBeGreaterThan(0)
    const found = await rowsOf(manifest, out)
    expect(found.map((row) => Number(row['_ordinal']))).toEqual(Array.from({ length: rows }, (_, i) => i + 1))
    const alone = await predicted('echo', spineSql)
    for (const [i, row] of found.entries()) {
      const values = [...(alone[i] as Float32Array)]
      // a number that is no number is not passed on
      const finite = values.every(Number.isFinite)
      expect([row['_status'], row['out']]).toEqual(finite ? ['OK', values] : ['INVALID', null])
    }
    expect(new Set(found.map((row) => row['_status']))).toEqual(new Set(['OK', 'INVALID']))
    const refused = found.filter((row) => row['_status'] === 'INVALID').length
    expect(manifest.refused).toBe(refused)
    expect(batchJson(await readBatch(world.db, 'echo'))).toMatchObject({
      state: 'done',
      rows,
      parts: 3,
      partsDone: 3,
      result: { rows, refused },
    })
    expect((await listBatches(world.db, { model: 'echo' })).map(({ id }) => id)).toContain('echo')
  })

  it('keeps the entities of a part apart from those of others', async () => {
    const manifest = await manifestOf('s3://predictions/echo')
    const seen = new Map<string, Set<string>>()
    for (const part of manifest.parts) {
      for await (const { columns } of (await openTabularFile(`s3://predictions/echo/${part.name}`)).batches(['airport']))
        for (const airport of Array.from(columns[0] ?? []))
          seen.set(String(airport), (seen.get(String(airport)) ?? new Set()).add(part.name))
    }
    expect([...seen.values()].map((parts) => parts.size)).toEqual(Array.from({ length: 9 }, () => 1))
  })

  it('returns the same batch for the same id, and refuses another request', async () => {
    const again = await begin('echo', { out: 's3://predictions/echo' })
    expect(again).toMatchObject({ joined: true, job: { state: 'done' } })
    await expect(begin('echo', { out: 's3://predictions/echo', rowsPerPart: 10 })).rejects.toMatchObject({
      code: 'BATCH_CONFLICT',
      message: expect.stringContaining('"rowsPerPart"') as string,
    })
  })

  it('keeps the version and the rows of its beginning', async () => {
    const { job } = await begin('pinned', { out: 's3://predictions/pinned' })
    await world.push('echo', 'identity', 'later')
    await world.db.query(`insert into lockstep_source.landings (airport, at, delay) values ('A1', '2001-07-01 00:01Z', 1000)`)
    await awaitJob(world.db, job.id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
    const [pinned, first] = [await manifestOf('s3://predictions/pinned'), await manifestOf('s3://predictions/echo')]
    expect(pinned.version).toBe(1)
    expect(pinned.parts.map(({ sha256 }) => sha256)).toEqual(first.parts.map(({ sha256 }) => sha256))
    await world.db.query(`delete from lockstep_source.landings where delay = 1000`)
  })

  it('writes CSV and JSON lines into a folder, with the columns that were asked for', async () => {
    for (const format of ['csv', 'jsonl'] as const) {
      const out = pathToFileURL(join(folder, format)).href
      const job = await run(`folder ${format}`, { out, format, columns: ['id'], model: 'delay', rowsPerPart: 1000 })
      expect(job.state).toBe('done')
      expect((await readdir(join(folder, format))).toSorted()).toEqual(['_SUCCESS', '_manifest.json', `part-00000.${format}`])
      const lines = (await readFile(join(folder, format, `part-00000.${format}`), 'utf8')).trim().split('\n')
      expect(lines).toHaveLength(format === 'csv' ? rows + 1 : rows)
      if (format === 'csv') expect(lines[0]?.trim()).toBe('id,_ordinal,probabilities,_status')
    }
  })

  it('says why a row has no prediction, and fails above the limit', async () => {
    const spine = { sql: 'select id, airport, at from spine' }
    const done = await run('strict', { model: 'strict', spine })
    expect(done.state).toBe('done')
    const manifest = await manifestOf('s3://predictions/strict')
    const found = await rowsOf(manifest, 's3://predictions/strict')
    expect(found).toHaveLength(rows)
    const refused = found.filter((row) => row['_status'] === 'REQUIRED_FEATURE_MISSING')
    expect(refused.length).toBe(manifest.refused)
    expect(refused.length).toBeGreaterThan(rows / 9)
    const output = manifest.columns.find(({ from }) => from === 'model')?.name ?? ''
    expect(refused.every((row) => row[output] === null)).toBe(true)
    const failed = await run('strict limited', { model: 'strict', spine, out: 's3://predictions/limited', maxRefused: { share: 0.01 } })
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'TOO_MANY_REFUSED' } })
    expect(await run('not finite', { maxRefused: { share: 0.01 } })).toMatchObject({ error: { code: 'TOO_MANY_REFUSED' } })
    expect(await namesIn('s3://predictions/limited')).toEqual([])
    // nothing is left of it, so that it can be begun again
    const again = await begin('strict limited', { model: 'strict', spine, out: 's3://predictions/limited', maxRefused: { rows } })
    expect(again.joined).toBe(false)
    expect((await run('strict limited', { model: 'strict', spine, out: 's3://predictions/limited', maxRefused: { rows } })).state).toBe(
      'done',
    )
  })

  it('fails with a spine of too few rows before it changes the output', async () => {
    const out = 's3://predictions/enough'
    expect(await run('enough', { minRows: rows })).toMatchObject({ state: 'done' })
    const names = await namesIn(out)
    expect(names).toContain('_SUCCESS')
    const few = await run('too few', { out, overwrite: true, minRows: rows + 1 })
    expect(few).toMatchObject({ state: 'failed', error: { code: 'TOO_FEW_ROWS' } })
    expect(few.error?.message).toContain(`at least ${rows + 1} rows, and its spine has ${rows}`)
    expect(await namesIn(out)).toEqual(names)
  })

  it('refuses a folder with another batch, unless it replaces it', async () => {
    const taken = await run('taken', { out: 's3://predictions/echo' })
    expect(taken).toMatchObject({ state: 'failed', error: { code: 'FILE_EXISTS', message: expect.stringContaining('"echo"') as string } })
    expect(await manifestOf('s3://predictions/echo')).toMatchObject({ id: 'echo' })
    const replaced = await run('taken', { out: 's3://predictions/echo', overwrite: true, rowsPerPart: 100 })
    expect(replaced.state).toBe('done')
    expect(await namesIn('s3://predictions/echo')).toEqual(['_SUCCESS', '_manifest.json', 'part-00000.parquet', 'part-00001.parquet'])
    expect(await manifestOf('s3://predictions/echo')).toMatchObject({ id: 'taken' })
  })

  it('has the same predictions by DuckDB, from object storage to object storage', async () => {
    const [catalog, from] = [await loadCatalog(world.db), 's3://predictions/lake']
    const { service } = catalog.model('delay').spec
    const names = new Set(catalog.service(service).uses.map(({ plan }) => plan.spec.source.name))
    const upload = async (name: string, sql: string): Promise<void> => {
      await parquetOfQuery(world.db, sql, join(folder, 'upload.parquet'))
      const writer = await store.write(`${from}/${name}.parquet`, { overwrite: false })
      await writer.write(await readFile(join(folder, 'upload.parquet')))
      await writer.seal()
      await writer.commit()
    }
    const sources = new Map<string, readonly string[]>()
    for (const name of names) {
      const { key, eventTime, columns } = catalog.source(name)
      const read = [...key.map(({ column }) => column), eventTime, ...columns.map((column) => column.name), '_row']
      await upload(name, `select ${read.map((column) => `"${column}"`).join(', ')} from lockstep_source.${name}`)
      sources.set(name, [`${from}/${name}.parquet`])
    }
    await upload('spine', spineSql)
    const request = { ...base, model: 'delay', spine: { file: `${from}/spine.parquet` }, out: 's3://predictions/by-duckdb' }
    const engine = await createDuckDbEngine({ sources, threads: 1 })
    const tools = { signal, log: createLogger('silent'), onProgress: () => undefined }
    const manifest = await runEngineBatch({ db: world.db, catalog, engine }, 'by-duckdb', request, tools).finally(() => engine.close())
    expect(await namesIn(request.out)).toEqual(['_SUCCESS', '_manifest.json', ...manifest.parts.map(({ name }) => name)])
    expect(manifest.engine?.sources.map(({ source, files }) => [source, files])).toEqual(
      [...names].map((name) => [name, [expect.objectContaining({ path: `${from}/${name}.parquet`, etag: expect.any(String) as string })]]),
    )
    await run('by-postgres', { model: 'delay' })
    const expected = await rowsOf(await manifestOf('s3://predictions/by-postgres'), 's3://predictions/by-postgres')
    expect(await rowsOf(manifest, request.out)).toEqual(expected)
    expect(expected).toHaveLength(rows)
    expect(manifest.refused).toBe(expected.filter((row) => row['_status'] !== 'OK').length)
    expect(manifest.refused).toBeGreaterThan(0)
  })

  it('names a part that another program wrote, and a spine that changed', async () => {
    const file = join(folder, 'spine.csv')
    await writeFile(file, 'airport,at,distance\nA1,2001-07-01T06:00:00Z,1\n')
    const { job } = await begin('changed', { spine: { file } })
    await writeFile(file, 'airport,at,distance\nA1,2001-07-01T06:00:00Z,1\nA2,2001-07-01T06:00:00Z,1\n')
    const work = { kinds: [jobs.kind], worker: 'test' }
    expect(await awaitJob(world.db, job.id, { signal, work })).toMatchObject({ state: 'failed', error: { code: 'FILE_CHANGED' } })
    await expect(begin('absent', { spine: { file: join(folder, 'none.csv') } })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
    const labelled = join(folder, 'labelled.csv')
    await writeFile(labelled, 'airport,at,distance,out\nA1,2001-07-01T06:00:00Z,1,7\n')
    for (const spine of [{ file: labelled }, { sql: 'select airport, at, distance, 7 as out from spine limit 1' }]) {
      const kept = spine.file === undefined ? ['at', 'out'] : null
      await expect(begin('labelled', { spine, columns: kept })).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringMatching(/column "out".*an output of the model.*--columns/) as string,
      })
      const left = await run(`left out ${kept === null}`, { spine, columns: ['airport', 'at'] })
      expect([left.error, left.state]).toEqual([null, 'done'])
    }
    await expect(run('clash', { spine: { sql: 'select airport, at, distance, 1 as _status from spine' } })).resolves.toMatchObject({
      error: { code: 'SPINE_INVALID' },
    })
  })

  it('fails without _SUCCESS if its credentials expire meanwhile, and is complete when it is run again', async () => {
    const out = 's3://predictions/expired'
    // the S3 takes any credentials until it has had so many requests
    const checkAfter = async (requests: string): Promise<void> =>
      void (await fetch(`${s3.settings.AWS_ENDPOINT_URL_S3}/moto-api/reset-auth`, { method: 'POST', body: requests }))
    const { job } = await begin('expired', { out })
    const stop = new AbortController()
    await checkAfter('13')
    const working = workOnJobs(world.db, { kinds: [jobs.kind], worker: 'test', only: job.id, signal: stop.signal })
    await expect.poll(async () => (await readJob(world.db, job.id)).state, { timeout: 60_000 }).toBe('failed')
    stop.abort()
    await working.finally(() => checkAfter('inf'))
    expect(await readJob(world.db, job.id)).toMatchObject({
      state: 'failed',
      error: { code: 'STORAGE_DENIED', message: expect.stringMatching(/"s3:\/\/predictions\/expired\/.*Check the credentials/) as string },
    })
    // nor could the files be removed
    const parts = ['part-00000.parquet', 'part-00001.parquet', 'part-00002.parquet']
    expect(await namesIn(out)).toEqual(['_claim.json', '_manifest.json', ...parts])
    await expect(run('expired too', { out })).resolves.toMatchObject({ error: { code: 'FILE_EXISTS' } })
    expect(await run('expired', { out })).toMatchObject({ state: 'done', error: null })
    expect(await namesIn(out)).toHaveLength(5)
  })

  it('refuses a folder that a batch of another deployment has, whatever is left of its own', async () => {
    const out = 's3://predictions/foreign'
    // a failed run of the same batch, which might have left files
    expect(await run('foreign', { out, maxRefused: { rows: 0 }, model: 'strict' })).toMatchObject({ state: 'failed' })
    expect(await namesIn(out)).toEqual([])
    const other = await testDatabase()
    const db = openPostgres(other.url)
    await db.query('update lockstep.installation set salt = sha256(salt)')
    const spec = batchSpec.parse((await readBatch(world.db, 'foreign')).spec)
    const columns = [{ name: 'part', type: { kind: 'int32' } }] as const
    const theirs = createBatchOutput(db, 1, { ...spec, id: 'of others' })
    await theirs.begin(columns, 'at')
    const writer = await theirs.part(0, columns)
    await writer.write([[1]])
    const part = { ...(await writer.seal()), refused: 0, cpuSeconds: 0, memory: { peakMegabytes: 1 } }
    const refused = { code: 'FILE_EXISTS', message: expect.stringContaining('the batch "of others" of another deployment') as string }
    expect(await run('foreign', { out })).toMatchObject({ state: 'failed', error: refused })
    expect(await namesIn(out)).toEqual(['_claim.json', 'part-00000.parquet'])
    // if it is replaced nevertheless, it notices that, and leaves the files of the other one
    const taken = await begin('foreign', { out, overwrite: true })
    const ours = createBatchOutput(world.db, taken.job.id, batchSpec.parse(taken.job.spec))
    await ours.begin(columns, 'at')
    const manifest = { ...(await manifestOf('s3://predictions/echo')), id: 'of others', job: 1, parts: [part] }
    await expect(theirs.complete(manifest)).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      message: expect.stringContaining('the batch "foreign" of another deployment') as string,
    })
    const same = await ours.part(0, columns)
    await same.write([[1]])
    await same.seal()
    await theirs.clean([part])
    expect(await namesIn(out)).toEqual(['_claim.json', 'part-00000.parquet'])
    await ours.clean([part])
    expect(await namesIn(out)).toEqual([])
    await cancelJob(world.db, taken.job.id, { actor: 'test' })
    await db.close()
    await other.drop()
  })

  it('has its folder alone while it runs', async () => {
    const out = 's3://predictions/shared'
    const begun = await Promise.allSettled(['one', 'two', 'three'].map((id) => begin(`shared ${id}`, { out })))
    const refused = begun.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []))
    const conflict = { code: 'BATCH_CONFLICT', message: expect.stringContaining(`writes to "${out}" now`) as string }
    expect(refused).toEqual([expect.objectContaining(conflict), expect.objectContaining(conflict)])
    // as KEDA counts it: the step that plans the batch
    expect(await openSteps()).toBe(1)
    for (const each of begun) if (each.status === 'fulfilled') await cancelJob(world.db, each.value.job.id, { actor: 'test' })
    expect(await openSteps()).toBe(0)
  })

  it('removes its files when it is cancelled', async () => {
    const { job } = await begin('cancelled', { rowsPerPart: 1 })
    const working = awaitJob(world.db, job.id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
    await expect.poll(async () => (await namesIn('s3://predictions/cancelled')).length, { timeout: 60_000 }).toBeGreaterThan(2)
    expect(await cancelJob(world.db, job.id, { actor: 'test' })).toBe(true)
    expect(await working).toMatchObject({ state: 'cancelled' })
    // a part that was at its end when the batch was cancelled is removed by its own worker
    await expect.poll(() => namesIn('s3://predictions/cancelled'), { timeout: 60_000 }).toEqual([])
    expect(await world.db.query(`select relname from pg_class where relname ~ '^(batch|spine)_[0-9]'`)).toEqual([])
  })
})

describe('a batch with a schedule', () => {
  it('begins at each instant, with the rows of its interval', async () => {
    const { knownBefore: _, ...fields } = base
    const declared = scheduledBatchSpec.parse({
      ...fields,
      name: 'daily',
      schedule: '0 2 * * *',
      spine: { sql: "select id, airport, at, distance, label from spine where at >= '{from}' and at < '{to}'" },
      id: 'daily/{date}',
      out: 's3://predictions/daily/day={date}',
    })
    await applyChanges(world.db, { ...servingSet, batches: [{ spec: declared, operational: {}, fingerprint: hash('daily') }] })
    const catalog = await loadCatalog(world.db)
    const starts = scheduledBatches({ db: world.db, catalog: () => Promise.resolve(catalog), log: createLogger('silent') }, jobs.kind)
    const stop = new AbortController()
    const clock = () => Date.UTC(2001, 6, 2, 3) * 1000
    const working = workOnJobs(world.db, { kinds: [starts, jobs.kind], worker: 'test', signal: stop.signal, clock })
    const state = async () => (await listBatches(world.db, { model: 'echo' })).find(({ id }) => id === 'daily/2001-07-01')?.state
    await expect.poll(state, { timeout: 60_000 }).toBe('done')
    stop.abort()
    await working
    const manifest = await manifestOf('s3://predictions/daily/day=2001-07-01')
    const { n } = (await world.db.query<{ n: number }>(`select count(*)::int4 as n from spine where at >= '2001-07-01 02:00Z'`))[0] ?? {
      n: 0,
    }
    expect(manifest).toMatchObject({ id: 'daily/2001-07-01', rows: n })
    expect(n).toBeLessThan(rows)
    // the instant has its job, so that another worker begins nothing
    await createScheduleFirer(world.db, [starts], 'other').fire(clock())
    expect(await readJobs(world.db, { kind: starts.name })).toMatchObject([{ state: 'done', subject: 'daily' }])
  })
})

describe('over HTTP', () => {
  it('begins, shows, lists and cancels a batch', async () => {
    for (const view of ['airport_delays', 'airport_required']) await world.materialize(view)
    const { url, server } = await world.serve()
    await server.whenReady()
    const path = `${url}/v1/batches/${encodeURIComponent('http/2001-07-01')}`
    const send = async (method: string, at: string, body?: object) => {
      const response = await fetch(at, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }
    const body = { model: 'echo', version: 1, spine: base.spine, time: 'at', out: 's3://predictions/http', rowsPerPart: 50 }
    const begun = await send('PUT', path, body)
    expect(begun).toMatchObject({ status: 202, body: { id: 'http/2001-07-01', state: 'running', joined: false, version: 1 } })
    expect(await send('PUT', path, body)).toMatchObject({ status: 202, body: { joined: true, job: begun.body['job'] } })
    expect(await send('PUT', path, { ...body, asOf: 'before' })).toMatchObject({ status: 409, body: { error: { code: 'BATCH_CONFLICT' } } })
    const places = 'must be the URL of a folder in object storage, such as s3://bucket/scores, or a table, such as postgres:ml.scores'
    for (const out of ['/etc', 'file:///etc/x', 's3://predictions'])
      expect(await send('PUT', `${url}/v1/batches/x`, { ...body, out })).toMatchObject({
        status: 400,
        body: { error: { code: 'INVALID_REQUEST', message: `The body is not a valid request: "out" ${places}.` } },
      })
    for (const online of ['-1h', '', '999999w'])
      expect(await send('PUT', `${url}/v1/batches/x`, { ...body, online })).toMatchObject({ status: 400 })
    expect(await send('PUT', `${url}/v1/batches/x`, { ...body, spine: { file: '/etc/passwd' } })).toMatchObject({ status: 400 })
    for (const id of ['%00', 'a%1B', '%F0%9F%8E%89'.repeat(501)])
      expect(await send('PUT', `${url}/v1/batches/${id}`, body)).toMatchObject({
        status: 400,
        body: { error: { code: 'INVALID_REQUEST' } },
      })
    expect(await send('GET', `${url}/v1/batches/%00`)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    await awaitJob(world.db, Number(begun.body['job']), { signal, work: { kinds: [jobs.kind], worker: 'test' } })
    expect(await send('GET', path)).toMatchObject({ status: 200, body: { state: 'done', result: { rows, parts: 3 } } })
    const { body: listed } = await send('GET', `${url}/v1/batches?state=done&model=echo`)
    expect((listed['batches'] as { readonly id: string }[]).map(({ id }) => id)).toContain('http/2001-07-01')
    expect(await send('DELETE', path)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    await send('PUT', `${url}/v1/batches/waits`, { ...body, out: 's3://predictions/waits' })
    expect(await send('DELETE', `${url}/v1/batches/waits?reason=wrong`)).toMatchObject({ status: 200, body: { state: 'cancelled' } })
    expect(await send('GET', `${url}/v1/batches/none`)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } })
  })
})
