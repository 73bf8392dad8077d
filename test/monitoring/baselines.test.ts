import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { makeLackingBaselines } from '../../monitoring/baselines/baseline-job.ts'
import { createTrainingBaseline } from '../../monitoring/baselines/create-training-baseline.ts'
import { baselineOf, datasetBaseline, versionsWithBaseline } from '../../monitoring/baselines/baseline.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { binLabels, binOf } from '../../statistics/column-bins.ts'
import { servingSet } from '../serving/definitions.ts'
import { onnx } from '../serving/fixtures.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'

const log = createLogger('silent')
let folder: string
let database: TestDatabase
let context: Context
let db: Database

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-baselines-'))
  database = await testDatabase()
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  context = createContext(config, createTerminal(true), new AbortController().signal)
  db = await context.database()
  await applyChanges(db, servingSet)
  await db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 60, timestamptz '2001-07-01' + n * interval '1 minute', case when n % 10 = 0 then null else n % 40 end from generate_series(1, 1200) n;
    create table spine as
    select 'A' || n % 70 as airport, timestamptz '2001-07-02' + n * interval '1 minute' as at, 1.0 + n % 5 as distance from generate_series(1, 700) n`)
  await writeFile(join(folder, 'delay.onnx'), await onnx('logistic'))
})
afterAll(async () => {
  await context?.close()
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a command line in this process. */
const lockstep = async (...words: string[]): Promise<Outcome> => await (await prepare(words))(context)

async function createSet(name: string, ...options: string[]): Promise<string> {
  const out = join(folder, name)
  const { json } = await lockstep('dataset', 'create', 'flight', '--spine', 'select * from spine', '--out', out, ...options)
  return (json as { readonly id: string }).id
}

async function push(...options: string[]): Promise<number> {
  const { json } = await lockstep('model', 'push', 'delay', join(folder, 'delay.onnx'), ...options)
  return (json as { readonly version: number }).version
}

describe('a baseline of a training set', () => {
  let dataset: string
  beforeAll(async () => {
    dataset = await createSet('set.csv')
    await push('--dataset', dataset)
  })

  it('is made with the set: bins, exact statuses and entities of each feature', async () => {
    const baseline = await datasetBaseline(db, dataset)
    expect(baseline).toMatchObject({ rows: 700, sampledRows: 700, entities: 70, origins: [{ kind: 'training set', dataset }] })
    const delay = baseline?.columns.get('lastDelay')
    // ten of seventy airports are unknown, and every tenth row has no delay
    expect(delay?.statuses).toMatchObject({ NOT_FOUND: 100 })
    const nulls = (delay?.statuses['NULL_VALUE'] ?? 0) + 100
    expect(delay?.sums.counts[0]).toBe(nulls)
    expect(delay?.statuses['PRESENT']).toBe(700 - nulls)
    expect(delay?.numbers).toMatchObject({ min: expect.any(Number), max: expect.any(Number) })
    const bins = delay?.bins ?? { kind: 'category', values: [] }
    expect(binLabels(bins)[binOf(bins, 1e6)]).toMatch(/^above /)
    expect(delay?.sums.counts[binOf(bins, 1e6)]).toBe(0)
    expect([...(baseline?.columns.keys() ?? [])]).toEqual(['lastDelay', 'landed1h', 'pressure'])
  })

  it('gets the predictions of a version for its rows by a job, once', async () => {
    expect([...((await baselineOf(db, 'delay', 1))?.columns.keys() ?? [])]).not.toContain('output:probabilities')
    expect([...(await versionsWithBaseline(db, 'delay'))]).toEqual([1])
    const failures: string[] = []
    const deps = { db, catalog: () => loadCatalog(db), log, onFailure: (version: string) => failures.push(version) }
    expect(await makeLackingBaselines(deps)).toBe(1)
    expect(await makeLackingBaselines(deps)).toBe(0)
    expect(failures).toEqual([])
    const output = (await baselineOf(db, 'delay', 1))?.columns.get('output:probabilities')
    expect(output).toMatchObject({ origin: { kind: 'training predictions', dataset }, type: 'float32' })
    expect(output?.sums.entities).toBe(70)
    expect(output?.sums.counts.reduce((sum, count) => sum + count, 0)).toBe(700)
    const effects = (await baselineOf(db, 'delay', 1))?.effects
    expect(effects).toMatchObject({ output: 'probabilities', unit: 'absolute', rows: 700, from: 'training set' })
    expect(effects?.byFeature['lastDelay']).toBeGreaterThan(0)
    expect(Object.keys(effects?.byFeature ?? {})).toEqual(['lastDelay', 'landed1h', 'pressure'])
  })

  it('is shown with its origin, and recreated from the manifest with the same bins', async () => {
    const before = (await lockstep('baseline', 'show', 'delay', '--json')).json
    expect(before).toMatchObject({ model: 'delay', version: 1, rows: 700 })
    const { text } = await lockstep('baseline', 'show', 'delay@1')
    expect(text).toContain(`features of the training set ${dataset}; outputs predicted for rows of the training set`)
    expect(text).toMatch(/lastDelay +float64 +\d[\d.]* % \(.*NOT_FOUND\)/)
    await rm(join(folder, 'set.csv'))
    const again = (await lockstep('baseline', 'create', 'delay')).json as { readonly id: string }
    expect(again).toEqual({ ...(before as object), id: again.id })
    expect(again.id).not.toBe((before as { readonly id: string }).id)
  })

  it('is made by the job for a set that has none, as one that was written in parts', async () => {
    const before = await datasetBaseline(db, dataset)
    await db.kysely.deleteFrom('lockstep.baselines').where('dataset', '=', dataset).execute()
    const failures: string[] = []
    const deps = { db, catalog: () => loadCatalog(db), log, onFailure: (what: string) => failures.push(what) }
    expect(await makeLackingBaselines(deps, { except: new Set([dataset]) })).toBe(0)
    expect(await makeLackingBaselines(deps)).toBe(1)
    expect(failures).toEqual([])
    expect((await datasetBaseline(db, dataset))?.columns).toEqual(before?.columns)
    await db.query('alter table spine rename to other')
    await db.kysely.deleteFrom('lockstep.baselines').where('dataset', '=', dataset).execute()
    expect(await makeLackingBaselines(deps)).toBe(0)
    expect(failures).toEqual([dataset])
    await db.query('alter table other rename to spine')
    expect(await makeLackingBaselines(deps)).toBe(1)
  })

  it('is refused if rows of the spine or a source were changed, and the error says which', async () => {
    const create = () => lockstep('baseline', 'create', 'delay@1')
    const before = await datasetBaseline(db, dataset)
    const refused = (differences: readonly unknown[]) =>
      expect(create()).rejects.toMatchObject({
        code: 'NOT_REPRODUCIBLE',
        message: expect.stringContaining('lockstep baseline create MODEL --served 24h'),
        details: { id: dataset, differences },
      })
    await db.query(`create table kept as select * from lockstep_source.landings where airport = 'A1'`)
    await db.query(`update lockstep_source.landings set delay = delay + 100 where airport = 'A1'`)
    const rows = expect.stringContaining('rows of "landings" that the training set was made of were changed or deleted')
    await refused(['The statistics of "lastDelay", "pressure" differ.', rows])
    await db.query(`delete from lockstep_source.landings where airport = 'A1'`)
    await refused(['The statistics of "lastDelay", "pressure" differ.', rows])
    const columns = await db.query<{ readonly name: string }>(
      `select quote_ident(attname) as name from pg_attribute where attrelid = 'kept'::regclass and attnum > 0 and attidentity = ''`,
    )
    const names = columns.map(({ name }) => name).join(', ')
    await db.query(`insert into lockstep_source.landings (${names}) overriding system value select ${names} from kept`)
    await db.query('create table gone as select * from spine where airport = $$A2$$')
    await db.query(`delete from spine where airport = 'A2'`)
    await refused([expect.stringMatching(/^The spine has other rows: .* \(690 rows\), not .* \(700 rows\)\.$/)])
    await db.query('insert into spine select * from gone')
    expect((await datasetBaseline(db, dataset))?.id).toBe(before?.id)
    await create()
    const after = await datasetBaseline(db, dataset)
    expect(after?.id).not.toBe(before?.id)
    expect(after?.columns).toEqual(before?.columns)
  })

  it('of a large set, which takes a sample, is refused if more differs than chance explains', async () => {
    await db.query(`create table large as
      select 'A' || n % 70 as airport, timestamptz '2001-07-02' + n % 700 * interval '1 minute' as at, 1.0 + n % 5 as distance from generate_series(1, 20000) n`)
    const { json } = await lockstep('dataset', 'create', 'flight', '--spine', 'select * from large', '--out', join(folder, 'large.csv'))
    const { id } = json as { readonly id: string }
    const [service, large] = [(await loadCatalog(db)).service('flight@1'), await findDataset(db, id)]
    const create = () => createTrainingBaseline(db, service, large, { maxSpineRows: 10_000 })
    await create()
    await db.query(`update lockstep_source.landings set delay = delay + 20 where airport < 'A4'`)
    await expect(create()).rejects.toMatchObject({ code: 'NOT_REPRODUCIBLE', message: expect.stringContaining('"lastDelay"') })
    await db.query(`update lockstep_source.landings set delay = delay - 20 where airport < 'A4'`)
    await db.query('delete from large where distance = 1')
    await expect(create()).rejects.toMatchObject({
      code: 'NOT_REPRODUCIBLE',
      message: expect.stringMatching(/A sample has \d+ rows where 10000 were expected/),
    })
    await lockstep('dataset', 'delete', id)
  })

  it('is tried again after a failure that may pass', async () => {
    await db.kysely.deleteFrom('lockstep.baselines').where('dataset', '=', dataset).execute()
    const hurried = openPostgres(`${database.url}?options=${encodeURIComponent('-c lock_timeout=200ms')}`)
    const failures: string[] = []
    const deps = { db: hurried, catalog: () => loadCatalog(db), log, onFailure: (what: string) => failures.push(what) }
    await db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table spine`.execute(transaction)
      await expect(makeLackingBaselines(deps)).rejects.toThrow(/lock timeout/)
    })
    expect(await makeLackingBaselines(deps)).toBe(1)
    expect(failures).toEqual([])
    await hurried.close()
  })

  it('of a split set is that of its part for training', async () => {
    const id = await createSet('split.csv', '--split', '2001-07-02T02:00:00Z')
    expect(await datasetBaseline(db, id)).toMatchObject({ rows: 119 })
  })

  it('is deleted with its set', async () => {
    const id = await createSet('short-lived.csv')
    expect(await datasetBaseline(db, id)).not.toBeNull()
    await lockstep('dataset', 'delete', id)
    expect(await datasetBaseline(db, id)).toBeNull()
    const { rows } = await db.kysely
      .selectFrom('lockstep.baselines')
      .select(({ fn }) => fn.countAll<string>().as('rows'))
      .executeTakeFirstOrThrow()
    expect(Number(rows)).toBe(3)
  })
})

describe('a baseline of a version without a training set', () => {
  it('is missing until rows were served, and the error says what to do', async () => {
    await writeFile(join(folder, 'delay.onnx'), await onnx('mlp'))
    const version = await push()
    await expect(lockstep('baseline', 'show', `delay@${version}`)).rejects.toMatchObject({
      code: 'BASELINE_MISSING',
      message: expect.stringContaining(`"lockstep baseline create delay@${version}"`),
    })
    await expect(lockstep('baseline', 'create', `delay@${version}`)).rejects.toMatchObject({
      code: 'BASELINE_MISSING',
      message: expect.stringContaining('LOCKSTEP_LOG_PREDICTIONS'),
    })
  })
})
