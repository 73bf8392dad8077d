import { existsSync } from 'node:fs'
import { link, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { beginExport } from '../../offline/distributed-export/begin-export.ts'
import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const definitions = `import { count, entity, featureService, featureView, last, mean, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64, word: t.string } })
const plain = source('plain', { table: 'plain', key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: airport, source: landings, features: { word: last('word', { required: true }), n: count('1d'), mean: mean('delay', '6h') } })
export const unlucky = featureView('unlucky', { version: 1, entity: airport, source: landings, derive: { half: t.float64 },
  transform: (row) => { if (row.delay === 13) throw new Error('thirteen'); return { half: row.delay === null ? null : row.delay / 2 } },
  features: { half: last('half') } })
export const unfrozen = featureView('unfrozen', { version: 1, entity: airport, source: plain, features: { delay: last('delay') } })
export const all = featureService('all', { version: 1, features: [delays] })
export const bad = featureService('bad', { version: 1, features: [unlucky] })
export const open = featureService('open', { version: 1, features: [unfrozen] })
`
const rows = 6_000
const numbers = `generate_series(1, ${rows}) n`
/** A file, as a query would wait for who locks the table that it could have its label from. */
const spine = Array.from({ length: rows }, (_, n) => {
  const at = new Date(Date.UTC(2001, 0, 1) + n * 7_000).toISOString()
  return `${JSON.stringify({ airport: n % 500 === 0 ? null : `A${n % 53}`, timestamp: at, label: n, color: `w${n % 11}` })}\n`
}).join('')

describe('an export that workers share', () => {
  let db: Database
  let env: Environment
  let folder: string
  let drop: () => Promise<void>
  const inFolder = (name: string): string => join(folder, name)
  const create = (service: string, out: string, ...options: readonly string[]): string[] => {
    return ['dataset', 'create', service, '--spine', inFolder('spine.jsonl'), '--out', inFolder(out), ...options]
  }
  const manifestOf = async (path: string): Promise<DatasetManifest> => JSON.parse(await readFile(inFolder(path), 'utf8')) as DatasetManifest
  const startWorker = async (...options: readonly string[]): Promise<Running> => {
    const running = start(env, 'worker', '--only', 'exports', ...options)
    await running.until(/waits for parts/)
    return running
  }
  const end = async ({ child, ended }: Running): Promise<string> => {
    child.kill('SIGTERM')
    const { code, out, err } = await ended
    expect([code, out]).toEqual([0, expect.stringMatching(/^The worker .* waits for parts of exports\. It runs \d jobs? at a time\./)])
    return err
  }
  /** While nobody can read the source: a worker is in the midst of its part. */
  const whileLocked = (run: () => Promise<void>): Promise<void> =>
    db.kysely.transaction().execute(async (transaction) => {
      await sql.raw('lock table lockstep_source.landings in access exclusive mode').execute(transaction)
      await run()
    })
  const expectNothingLeft = async (out: string): Promise<void> => {
    expect(existsSync(inFolder(out))).toBe(false)
    expect(await db.query(`SELECT relname FROM pg_class WHERE relname ~ '^(spine|export)_'`)).toEqual([])
    expect(await db.query(`SELECT FROM lockstep.job_chunks WHERE state = 'open'`)).toEqual([])
    expect(await db.query('SELECT path FROM lockstep.datasets WHERE path = $1', [inFolder(out)])).toEqual([])
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-shared-'))
    await writeFile(inFolder('spine.jsonl'), spine)
    const database = await testDatabase()
    drop = database.drop
    db = openPostgres(database.url)
    env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_DIR: inFolder('.lockstep') }
    await db.query('CREATE TABLE plain (airport text, at timestamptz, delay float8)')
    await must(env, 'apply', join(definitionFiles({ 'all.ts': definitions }), 'all.ts'))
    await db.query(
      `INSERT INTO lockstep_source.landings (airport, at, delay, word)
      SELECT 'A' || n % 50, '2001-01-01'::timestamptz + n * interval '7 s', CASE WHEN n % 9 = 0 THEN NULL ELSE n % 97 END, 'x' || n % 13 FROM ${numbers}`,
    )
  }, 300_000)
  afterAll(async () => {
    killAll()
    await db?.close()
    await drop?.()
    await rm(folder, { recursive: true, force: true })
  })

  it('gives the rows and numbers of one process in order, with three workers', async () => {
    const workers = await Promise.all([startWorker(), startWorker('--concurrency', '2'), startWorker()])
    const sample = ['--sample', '0.5', '--seed', '3']
    const [, , parquet] = await Promise.all([
      must(env, ...create('all', 'one.jsonl')),
      must(env, ...create('all', 'many', '--parts', '7', '--format', 'jsonl', '--no-work')),
      must(env, ...create('all', 'parquet', '--rows-per-part', '1800', '--drop-incomplete')),
      must(env, ...create('all', 'sample.jsonl', ...sample)),
      must(env, ...create('all', 'samples', '--parts', '2', '--format', 'jsonl', ...sample)),
    ])
    const printed = await Promise.all(workers.map(end))
    expect(printed.join('').match(/"part \d of 7 [^"]*","seconds":[^"]*"msg":"a job is done"/g)).toHaveLength(7)
    const names = Array.from({ length: 7 }, (_, part) => `part-0000${part}.jsonl`)
    expect((await readdir(inFolder('many'))).toSorted()).toEqual(['manifest.json', ...names])
    const parts = await Promise.all(names.map((name) => readFile(join(inFolder('many'), name))))
    expect(Buffer.concat(parts).equals(await readFile(inFolder('one.jsonl')))).toBe(true)
    const sampled = await Promise.all([0, 1].map((part) => readFile(inFolder(`samples/part-0000${part}.jsonl`))))
    expect(Buffer.concat(sampled).equals(await readFile(inFolder('sample.jsonl')))).toBe(true)
    const [one, many] = [await manifestOf('one.jsonl.manifest.json'), await manifestOf('many/manifest.json')]
    expect(filesOf(many).map((file) => file.bytes)).toEqual(parts.map((bytes) => bytes.length))
    expect(many.statistics).toEqual(one.file.statistics)
    expect(many).toMatchObject({ spine: one.spine, missingRequired: one.missingRequired, incomplete: one.incomplete, columns: one.columns })
    expect(many.source).toMatchObject({ droppedRows: one.source.droppedRows, heldBackRows: { landings: 0 } })
    expect(await readdir(inFolder('parquet'))).toHaveLength(5)
    const listed = await must(env, 'dataset', 'list')
    expect(listed.datasets.find(({ id }) => id === parquet.id)).toMatchObject({ rows: rows - (one.missingRequired['word'] ?? 0) })
    const verified = await lockstep(env, 'dataset', 'verify', parquet.id)
    expect(verified).toMatchObject({ code: 0, out: expect.stringContaining('and so do its files') })
    const { out } = await lockstep(env, 'dataset', 'show', parquet.id)
    expect(out).toMatch(/part 3 +.*part-00003\.parquet: parquet/)
    expect(out).toMatch(/color +string +spine +0 +"w\d+" 9/)

    const refused = await lockstep(env, ...create('all', 'many', '--parts', '2'))
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('FILE_EXISTS') })
    await must(env, ...create('all', 'many', '--parts', '2', '--overwrite'))
    expect((await readdir(inFolder('many'))).toSorted()).toEqual(['manifest.json', 'part-00000.parquet', 'part-00001.parquet'])
  }, 300_000)

  it('continues after a worker is stopped inside its part, or killed', async () => {
    const catalog = await loadCatalog(db)
    let id = 0
    await whileLocked(async () => {
      const leaving = await startWorker()
      const begun = await beginExport({ jobs: db, worker: 'test' }, catalog.service('all'), {
        spine: { file: inFolder('spine.jsonl') },
        out: inFolder('killed'),
        format: 'jsonl',
        parts: { count: 2 },
        leaseSeconds: 3,
      })
      id = begun.id
      await leaving.until(/"part 0 of 2[^"]*".*"msg":"a job is taken/)
      expect(await end(leaving)).toMatch(/"part 0 of 2[^"]*".*"msg":"a job is returned/)
      const killed = await startWorker('--concurrency', '3')
      await killed.until(/"part 0 of 2[^"]*".*"msg":"a job is taken/)
      await killed.until(/"part 1 of 2[^"]*".*"msg":"a job is taken/)
      killed.child.kill('SIGKILL')
      await killed.ended
    })
    const last = await startWorker()
    expect(await awaitJob(db, id, { signal: AbortSignal.timeout(180_000) })).toMatchObject({ state: 'done', chunks: 3, totals: { rows } })
    await end(last)
    const parts = await Promise.all(filesOf(await manifestOf('killed/manifest.json')).map(({ path }) => readFile(path)))
    expect(Buffer.concat(parts).equals(await readFile(inFolder('one.jsonl')))).toBe(true)
    expect(await readdir(inFolder('killed'))).toHaveLength(3)
    const [job] = await readJobs(db, { kind: 'export', limit: 1 })
    expect(await db.query(`SELECT relname FROM pg_class WHERE relname = 'export_${job?.id}'`)).toEqual([])
  }, 300_000)

  it('names its files once, even if a process is killed while renaming', async () => {
    const catalog = await loadCatalog(db)
    const tools = { db, find: (id: string) => Promise.resolve(catalog.service(id)) }
    const { id } = await beginExport({ jobs: db, worker: 'test' }, catalog.service('all'), {
      spine: { file: inFolder('spine.jsonl') },
      out: inFolder('named'),
      format: 'jsonl',
      parts: { count: 2 },
    })
    const kind = exportsInParts(tools)
    // the first has its name when the finish begins, the second has both of its names
    const kinds = [
      {
        ...kind,
        async finish(...[job, results, step]: Parameters<NonNullable<typeof kind.finish>>) {
          const [first, second] = results.map((result) => ('file' in result ? inFolder(`named/.export-${id}/${result.file}`) : ''))
          await rename(first ?? '', inFolder('named/part-00000.jsonl'))
          await link(second ?? '', inFolder('named/part-00001.jsonl'))
          await kind.finish?.(job, results, step)
          // once more, as its end could not be written down
          return (await kind.finish?.(job, results, step)) ?? null
        },
      },
    ]
    const work = { kinds, worker: 'test' }
    expect(await awaitJob(db, id, { signal: AbortSignal.timeout(180_000), work })).toMatchObject({ state: 'done' })
    const parts = await Promise.all(filesOf(await manifestOf('named/manifest.json')).map(({ path }) => readFile(path)))
    expect(Buffer.concat(parts).equals(await readFile(inFolder('one.jsonl')))).toBe(true)
    expect((await readdir(inFolder('named'))).toSorted()).toEqual(['manifest.json', 'part-00000.jsonl', 'part-00001.jsonl'])
    expect(await db.query('SELECT path FROM lockstep.datasets WHERE path = $1', [inFolder('named')])).toHaveLength(1)
  }, 300_000)

  /** Works for the following tests. */
  let worker: Running

  it('continues after its first process stops, and the same command joins it', async () => {
    const words = create('all', 'orphan', '--parts', '3', '--format', 'jsonl')
    let id = 0
    await whileLocked(async () => {
      const begun = start(env, ...words)
      const running = () => readJobs(db, { kind: 'export', state: 'running' })
      await expect.poll(async () => (await running()).map(({ workers }) => workers.length), { timeout: 60_000 }).toEqual([1])
      begun.child.kill('SIGTERM')
      const [job] = await running()
      id = job?.id ?? 0
      expect(await begun.ended).toMatchObject({ code: 143, err: expect.stringContaining(`lockstep job watch ${id}`) })
      const other = await lockstep(env, ...create('all', 'orphan', '--parts', '2'))
      expect(other).toMatchObject({ code: 1, err: expect.stringContaining('error IN_USE') })
      const again = start(env, ...words)
      await expect.poll(async () => (await running()).map(({ workers }) => workers.length), { timeout: 60_000 }).toEqual([1])
      again.child.kill('SIGKILL')
      await again.ended
    })
    await db.query('UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() WHERE job = $1', [id])
    worker = await startWorker()
    expect(await must(env, 'job', 'watch', String(id))).toMatchObject({ state: 'done', result: { path: inFolder('orphan') } })
    const parts = await Promise.all(filesOf(await manifestOf('orphan/manifest.json')).map(({ path }) => readFile(path)))
    expect(Buffer.concat(parts).equals(await readFile(inFolder('one.jsonl')))).toBe(true)
  }, 300_000)

  it('fails with the error of a part, and leaves nothing', async () => {
    const { code, err } = await lockstep(env, ...create('bad', 'bad', '--parts', '3', '--no-work'))
    expect(code).toBe(1)
    // on a busy machine the progress stands in lines before it
    expect(err).toMatch(/^error TRANSFORM_FAILED: .*thirteen.*\(Part \d of 3, by the worker ".*:\d+"\.\)/m)
    await worker.until(/the clean of export .*"msg":"a job is done/)
    await expectNothingLeft('bad')
    await worker.until(/"part \d of 3 of bad@1[^"]*".*"msg":"a job has failed/)
  }, 300_000)

  it('leaves nothing when cancelled; workers take other jobs, and a retry completes it', async () => {
    let id = ''
    await whileLocked(async () => {
      const exporting = lockstep(env, ...create('all', 'cancelled', '--parts', '3', '--no-work'))
      const running = () => readJobs(db, { kind: 'export', state: 'running' })
      await expect.poll(async () => (await running()).map(({ workers }) => workers.length), { timeout: 60_000 }).toEqual([1])
      id = String((await running())[0]?.id)
      await worker.until(new RegExp(`"part \\d of 3 of all@1 \\(export ${id}\\)".*"msg":"a job is taken`))
      const listed = await must(env, 'job', 'list', '--kind', 'export', '--state', 'running')
      expect(listed).toMatchObject({ jobs: [{ id: Number(id), subject: 'all@1', workers: [expect.any(String)] }] })
      await must(env, 'job', 'cancel', id)
      expect(await exporting).toMatchObject({ code: 1, err: expect.stringContaining(`The export ${id} of "all@1" was cancelled`) })
      await expectNothingLeft('cancelled')
    })
    await worker.until(/"part \d of 3[^"]*".*"msg":"a job is abandoned/)
    await must(env, ...create('all', 'after', '--parts', '2', '--no-work'))
    await must(env, 'job', 'retry', id)
    expect(await must(env, 'job', 'watch', id)).toMatchObject({ state: 'done', chunks: 4 })
    expect(filesOf(await manifestOf('cancelled/manifest.json'))).toHaveLength(3)
    expect((await lockstep(env, 'job', 'show', id)).out).toMatch(/export .* of all@1: done, 4 of 4 chunks done/)
    await end(worker)
  }, 300_000)

  it('needs sources with arrivals, PostgreSQL, and compatible options', async () => {
    const embedded = { LOCKSTEP_DIR: inFolder('.lockstep') }
    const refused = [
      { env, words: create('open', 'no', '--parts', '2'), code: 1, message: 'source "plain" has no column "_xid"' },
      { env, words: create('all', 'no', '--parts', '2', '--split', '2001-01-02'), code: 2, message: '"--split"' },
      { env, words: create('all', 'no.csv', '--no-work'), code: 2, message: '"--no-work"' },
      { env: embedded, words: ['worker'], code: 1, message: 'Set "LOCKSTEP_POSTGRES_URL"' },
    ]
    for (const { env: given, words, code, message } of refused)
      expect(await lockstep(given, ...words)).toMatchObject({ code, err: expect.stringContaining(message) })
    expect(existsSync(inFolder('no'))).toBe(false)
  }, 300_000)
})
