import { spawnSync } from 'node:child_process'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { createDuckDbEngine } from '../../offline/duckdb/duckdb-engine.ts'
import type { FileEngine } from '../../offline/join-engine.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { exportPlan } from '../../serving/engines/export-plan.ts'

// One training set of the flights by each engine: the same spine of Parquet, the same 12 features, and the same bytes.

export interface EngineRun {
  /** Of all processes: this one, and for PostgreSQL its backends. */
  readonly cpuSeconds: number
  readonly sha256: string
}

const flights = join(import.meta.dirname, '../../node_modules/vega-datasets/data/flights-3m.parquet')

/** The steps of bench/batch.ts that measure engines, by name. @param rows of the spine */
export function engineSteps(rows: number) {
  const make = async (db: Database, folder: string, engine: FileEngine | null): Promise<EngineRun> => {
    const [spine, out] = [await spineFile(folder, rows), join(folder, 'engine.parquet')]
    const service = (await loadCatalog(db)).service('twelve')
    const before = process.cpuUsage()
    const backends = engine === null ? await watchBackends(db) : () => Promise.resolve(0)
    const options = { spine: { file: spine }, time: 'date', asOf: 'before', out, overwrite: true } as const
    const { file } = await createDataset(db, service, engine === null ? options : { ...options, engine })
    const database = await backends()
    const { user, system } = process.cpuUsage(before)
    await rm(out)
    return { cpuSeconds: (user + system) / 1e6 + database, sha256: file.sha256 }
  }
  return {
    enginePostgres: (db: Database, folder: string) => make(db, folder, null),
    async engineDuckdb(db: Database, folder: string) {
      const engine = await createDuckDbEngine({ sources: new Map([['outbound', [flights]]]) })
      try {
        return await make(db, folder, engine)
      } finally {
        await engine.close()
      }
    },
    engineSpark: (db: Database, folder: string) => bySpark(db, folder, rows),
  }
}

/** Seconds of the processor per million rows of the spine, by engine. */
export async function engineFigures(rows: number, run: <Result>(key: string) => Promise<Result>) {
  const least = async (key: string): Promise<EngineRun> => {
    const [a, b] = [await run<EngineRun>(key), await run<EngineRun>(key)]
    return a.cpuSeconds < b.cpuSeconds ? a : b
  }
  const [postgres, duckdb] = [await least('enginePostgres'), await least('engineDuckdb')]
  if (postgres.sha256 !== duckdb.sha256) throw new Error('DuckDB and PostgreSQL wrote different files.')
  const spark = await run<EngineRun | null>('engineSpark')
  const perMillion = (each: EngineRun | null) => (each === null ? null : Math.round((1e8 * each.cpuSeconds) / rows) / 100)
  return {
    engines: { postgres: perMillion(postgres), duckdb: perMillion(duckdb), spark: perMillion(spark) },
    ratio_duckdb: Math.round((100 * duckdb.cpuSeconds) / postgres.cpuSeconds) / 100,
  }
}

async function spineFile(folder: string, rows: number): Promise<string> {
  const path = join(folder, 'engine-spine.parquet')
  if ((await stat(path).catch(() => null)) !== null) return path
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const sampled = `select date, origin, delay > 15 as late from read_parquet('${flights}', file_row_number = true) order by hash(file_row_number) limit ${rows}`
  await connection.run(`copy (${sampled}) to '${path}' (format parquet)`)
  connection.closeSync()
  instance.closeSync()
  return path
}

/**
 * Notes the processor time of the backends of this database, on this machine, until it is stopped. A backend may end
 * before the end, so it is looked at four times a second.
 *
 * @returns stops, and gives the seconds since
 */
async function watchBackends(db: Database): Promise<() => Promise<number>> {
  const [first, last] = [new Map<number, number>(), new Map<number, number>()]
  const look = async (): Promise<void> => {
    for (const { pid } of await db.query<{ pid: number }>('select pid from pg_stat_activity where datname = current_database()')) {
      const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
      if (line === null) continue
      const [user = 0, system = 0] = line
        .slice(line.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13)
        .map(Number)
      last.set(pid, (user + system) / 100)
    }
  }
  await look()
  for (const [pid, seconds] of last) first.set(pid, seconds)
  let watching = true
  const watched = (async () => {
    while (watching) {
      await setTimeout(250)
      await look()
    }
  })()
  return async () => {
    watching = false
    await watched
    return [...last].reduce((sum, [pid, seconds]) => sum + seconds - (first.get(pid) ?? 0), 0)
  }
}

/** null: `BENCH_PYTHON` names no Python that has pyspark. */
async function bySpark(db: Database, folder: string, rows: number): Promise<EngineRun | null> {
  const python = process.env['BENCH_PYTHON']
  if (python === undefined) return null
  const [spine, plan, out] = [await spineFile(folder, rows), join(folder, 'twelve.lockstep'), join(folder, 'spark')]
  const rule = { rule: { knowledge: 'bitemporal', freshness: 'served' }, bound: 'before', knownBefore: null } as const
  await writeFile(plan, (await exportPlan(db, await loadCatalog(db), { service: 'twelve', rule })).bytes)
  const root = join(import.meta.dirname, '../..')
  const script = join(root, 'serving/engines/lockstep_spark.py')
  const lockstep = `${process.execPath} ${join(root, 'cli/main.ts')}`
  const words = [
    '--plan',
    plan,
    '--source',
    `outbound=${flights}`,
    '--spine',
    spine,
    '--time',
    'date',
    '--out',
    out,
    '--lockstep',
    lockstep,
  ]
  const submit = `'${join(python, '../spark-submit')}' --master 'local[2]' --conf spark.sql.shuffle.partitions=2 '${script}' ${words.map((word) => `'${word}'`).join(' ')}`
  const { stdout, stderr, status } = spawnSync('bash', ['-c', `${submit} >&2; code=$?; times; exit $code`], {
    encoding: 'utf8',
    env: { ...process.env, PYSPARK_PYTHON: python, SPARK_LOCAL_IP: '127.0.0.1' },
  })
  if (status !== 0) throw new Error(stderr.slice(-4000))
  const times = [...stdout.matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => 60 * Number(minutes) + Number(seconds))
  await rm(out, { recursive: true })
  return { cpuSeconds: times.reduce((sum, each) => sum + each, 0), sha256: '' }
}
