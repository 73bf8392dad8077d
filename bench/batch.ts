/**
 * Batch inference at full size: 3,000,000 flights, 12 features over 4 windows, a perceptron 12-64-1, files of Parquet
 * in a folder. Each figure compares CPU seconds of one process, the least of several rounds:
 *
 *     ratio_batch_floor   rows per CPU second of a batch in 16 parts over those of a training set of the same rows in 16 parts
 *     ratio_model         ONNX Runtime alone, in runs of 1,024 rows, over the batch's runs of the model: those of columns to
 *                         columns, less the same with a session that answers at once
 *     ratio_tensors       as ratio_model, with the tensors that the batch makes of columns, and its columns of answers
 *     scale_parts         CPU seconds of 16 parts over those of 1 part
 *     peak_rss_mb         of the process that works on a batch, by its rows
 *
 *     engines             CPU seconds per million rows of a training set by PostgreSQL with its backends, DuckDB and, where
 *                         BENCH_PYTHON names a Python with pyspark, Spark; ratio_duckdb: DuckDB's over PostgreSQL's
 *
 *     LOCKSTEP_POSTGRES_URL=… npm run bench -- batch [--rows 1000000] [--more 3000000] [--only engines] [--json]
 *
 * It works in its own database and drops it.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { inspectModel } from '../inference/inspect-model.ts'
import { InferenceSession, Tensor } from '../inference/onnx-runtime.ts'
import { createProcessPool } from '../inference/process-pool.ts'
import { openInlineSession } from '../inference/inline-session.ts'
import { loadedModel } from '../inference/load-model.ts'
import type { RunResult } from '../inference/model-session.ts'
import { openModel } from '../inference/open-model.ts'
import { createColumnRunner } from '../inference/run-columns.ts'
import type { Tensors } from '../inference/tensor-value.ts'
import type { Value } from '../kernel/values/value-type.ts'
import { beginExport } from '../offline/distributed-export/begin-export.ts'
import { exportsInParts } from '../offline/distributed-export/export-in-parts.ts'
import { ingestFile } from '../offline/ingest/ingest.ts'
import { joinSpine } from '../offline/join.ts'
import { openSpine } from '../offline/spine/open-spine.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { bindVersion } from '../registry/models/bind-version.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadDefinitions } from '../registry/load/load-definitions.ts'
import { pushModel } from '../registry/models/models.ts'
import { pickVersion } from '../registry/models/pick-version.ts'
import { loadConfig } from '../runtime/config.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { awaitJob } from '../runtime/jobs/await-job.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import { createLogger } from '../runtime/log.ts'
import { migrateDatabase } from '../runtime/postgres/migrated.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { limitHeapGrowth } from '../runtime/v8-flags.ts'
import { createBatchJobs } from '../serving/batch/batch-job.ts'
import { beginBatch } from '../serving/batch/begin-batch.ts'
import { engineFigures, engineSteps } from './batch/engines.ts'
import { inOwnPlace, inProcess, peakRssMb, tell } from './in-process.ts'
import { perceptron } from './serving/perceptron.ts'

const flights = join(import.meta.dirname, '../node_modules/vega-datasets/data/flights-3m.parquet')
const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rows: { type: 'string', default: '1000000' },
    more: { type: 'string', default: '3000000' },
    only: { type: 'string' },
    step: { type: 'string' },
    folder: { type: 'string' },
  },
})
const config = loadConfig()
const [rows, more] = [Number(args.rows), Number(args.more)]
const parts = 16
const features = 12
const hidden = 64
const rowsPerRun = 1024
const spineSql = `select date, origin, destination, distance, delay > 15 as late from sampled limit ${rows}`
const moreSql = `select date, origin, destination, distance, delay > 15 as late from flights limit ${more}`
const signal = new AbortController().signal

interface Used {
  readonly cpuSeconds: number
  readonly seconds: number
  readonly peakMb: number
}

const steps: Readonly<Record<string, (db: Database, folder: string) => Promise<unknown>>> = {
  setup,
  batch: (db, folder) => batch(db, folder, spineSql, Math.ceil(rows / parts)),
  one: (db, folder) => batch(db, folder, spineSql, rows),
  more: (db, folder) => batch(db, folder, moreSql, Math.ceil(rows / parts)),
  export: trainingSet,
  model: modelAlone,
  ...engineSteps(rows),
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
      const result = await inProcess<Result>(import.meta.filename, key, folder, env, ['--rows', args.rows, '--more', args.more])
      if (!args.json) process.stdout.write(`${key}: ${JSON.stringify(result)}\n`)
      return result
    }
    await run('setup')
    const engines = await engineFigures(rows, run)
    if (args.only === 'engines') {
      process.stdout.write(`${JSON.stringify(engines)}\n`)
      return
    }
    const rounds: Record<'batch' | 'export' | 'one', Used[]> = { batch: [], export: [], one: [] }
    for (let round = 0; round < 2; round++) for (const key of ['batch', 'export', 'one'] as const) rounds[key].push(await run<Used>(key))
    const model = await run<{ runs: number; whole: number }>('model')
    const larger = await run<Used>('more')
    const cpu = (key: keyof typeof rounds) => Math.min(...rounds[key].map(({ cpuSeconds }) => cpuSeconds))
    const figures = {
      ...engines,
      ratio_batch_floor: round(cpu('export') / cpu('batch')),
      ratio_model: round(model.runs),
      ratio_tensors: round(model.whole),
      scale_parts: round(cpu('batch') / cpu('one')),
      peak_rss_mb: { [rows]: Math.max(...rounds.batch.map(({ peakMb }) => peakMb)), [more]: larger.peakMb },
      cpu_s_per_million: round((1e6 * cpu('batch')) / rows),
      cpu_seconds: { batch: round(cpu('batch')), export: round(cpu('export')), one: round(cpu('one')), more: round(larger.cpuSeconds) },
    }
    process.stdout.write(`${JSON.stringify(figures)}\n`)
  })
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
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'batch/definitions.ts')))
  const ingested = await ingestFile(db, (await loadCatalog(db)).source('outbound'), flights)
  await db.script(`create index flights_origin on flights (origin collate "C", date);
    create table sampled as select * from flights order by hashint8(_row) limit ${rows};
    analyze sampled`)
  await db.query('vacuum analyze flights')
  const bytes = perceptron(features, hidden)
  await pushModel(db, { model: 'late', bytes, contract: await inspectModel(bytes) })
  return ingested.rows
}

/** A flight does not see itself: its own row holds its label. */
async function batch(db: Database, folder: string, sql: string, rowsPerPart: number): Promise<Used> {
  const out = join(folder, 'batch')
  const catalog = await loadCatalog(db)
  // as workers, which load it again only where it has changed
  const jobs = createBatchJobs({ db, catalog: () => Promise.resolve(catalog), log: createLogger('silent') })
  const used = await using(async () => {
    const beginner = { db, catalog, kind: jobs.kind, worker: 'bench', by: { actor: 'bench' } }
    const { job } = await beginBatch(beginner, `bench ${process.pid}`, {
      model: 'late',
      version: null,
      spine: { sql },
      time: 'date',
      asOf: 'before',
      knownBefore: null,
      columns: null,
      out: pathToFileURL(out).href,
      format: 'parquet',
      mode: 'replace',
      key: null,
      onlineMicros: null,
      rowsPerPart,
      maxRefused: { rows: 0 },
      minRows: null,
      overwrite: true,
    })
    await finished(db, job.id, jobs.kind)
  })
  await jobs.close()
  await rm(out, { recursive: true, force: true })
  return used
}

async function trainingSet(db: Database, folder: string): Promise<Used> {
  const service = (await loadCatalog(db)).service('twelve')
  const out = join(folder, 'export')
  const used = await using(async () => {
    const options = { spine: { sql: spineSql }, time: 'date', asOf: 'before', out, overwrite: true, parts: { count: parts } } as const
    const { id } = await beginExport({ jobs: db, worker: 'bench' }, service, options)
    await finished(db, id, exportsInParts({ db, find: () => Promise.resolve(service) }))
  })
  await rm(out, { recursive: true, force: true })
  return used
}

async function finished<Spec, Plan, Chunk, Result extends object | null>(
  db: Database,
  id: number,
  kind: JobKind<Spec, Plan, Chunk, Result>,
): Promise<void> {
  const ended = await awaitJob(db, id, { signal, work: { kinds: [kind], worker: 'bench' } })
  if (ended.state !== 'done') throw new Error(`The job ${id} ended as ${ended.state}: ${ended.error?.message ?? 'no error'}`)
}

async function using(work: () => Promise<void>): Promise<Used> {
  const [began, cpu] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(cpu)
  return { cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - began) / 1000, peakMb: peakRssMb() }
}

/** Runs the model on the features of the spine, as a batch does, and ONNX Runtime alone on the same numbers. */
async function modelAlone(db: Database): Promise<{ readonly runs: number; readonly whole: number }> {
  const catalog = await loadCatalog(db)
  const late = catalog.model('late')
  const { service, binding } = bindVersion(catalog, late.spec, pickVersion(late, undefined))
  const bytes = perceptron(features, hidden)
  const pool = createProcessPool()
  const model = await openModel(() => Promise.resolve(bytes), {
    binding,
    name: 'late',
    operational: late.operational,
    pool,
    log: createLogger('silent'),
    onRun: () => undefined,
    onWait: () => undefined,
    onLookups: () => undefined,
    onEnd: () => undefined,
  })
  const batches: { readonly values: readonly (readonly (Value | null)[])[]; readonly length: number }[] = []
  const spine = await openSpine(db, service, { sql: spineSql }, { time: 'date' })
  await joinSpine(db, service, spine, { bound: 'before' }, ({ values, length }) => {
    batches.push({ values: values.map((column) => [...column]), length })
  })
  await spine.drop()
  const tensors = batches.flatMap(({ values, length }) =>
    Array.from({ length: Math.ceil(length / rowsPerRun) }, (_, run) => {
      const [from, to] = [run * rowsPerRun, Math.min(length, (run + 1) * rowsPerRun)]
      const data = new Float32Array((to - from) * features)
      for (let row = from; row < to; row++)
        for (const [feature, column] of values.entries()) data[(row - from) * features + feature] = Number(column[row])
      return new Tensor('float32', data, [to - from, features])
    }),
  )
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const { metadata, release } = await openInlineSession(bytes, 'late')
  const empty = createColumnRunner(loadedModel({ metadata, release, run: answerAtOnce }, binding, 'late'), true, () => Infinity)
  let [bare, whole, without] = [Infinity, Infinity, Infinity]
  for (let round = 0; round < 5; round++) {
    const alone = await using(async () => {
      for (const tensor of tensors) await session.run({ features: tensor })
    })
    const withColumns = await using(async () => {
      for (const { values, length } of batches) await model.runColumns(values, length)
    })
    const columnsAlone = await using(async () => {
      for (const { values, length } of batches) await empty(values, length)
    })
    bare = Math.min(bare, alone.cpuSeconds)
    whole = Math.min(whole, withColumns.cpuSeconds)
    without = Math.min(without, columnsAlone.cpuSeconds)
  }
  await release()
  await session.release()
  await model.close()
  pool.close()
  return { runs: bare / (whole - without), whole: bare / whole }
}

function answerAtOnce(feeds: Tensors, [fetch = '']: readonly string[]): Promise<RunResult> {
  const rows = feeds['features']?.dims[0] ?? 0
  return Promise.resolve({ tensors: { [fetch]: { type: 'float32', dims: [rows, 1], data: new Float32Array(rows) } }, ms: 0 })
}

function round(ratio: number): number {
  return Math.round(ratio * 100) / 100
}
