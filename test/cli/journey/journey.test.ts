import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../../client/index.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { until } from '../../serving/gate.ts'
import { constantModel } from '../../inference/made-models.ts'
import { testDatabase, testRedis } from '../../services/index.ts'
import type { LockstepCommand } from '../one-process.ts'
import { commandsWith } from '../one-process.ts'
import type { Environment, Running } from '../run-lockstep.ts'
import { killAll, start, whenReady } from '../run-lockstep.ts'
import type * as definitions from './features.ts'

// A newcomer's way with a table of their own, on a PostgreSQL that scans it with parallel workers. The steps build on
// one another.

let env: Environment
let lockstep: LockstepCommand
let db: Database
let drop: () => Promise<void>
let folder: string
let server: Running
let url: string
/** The training set of the first version, and what each file of it hashes to. */
let trained: { readonly id: string; readonly file: { readonly sha256: string; readonly rows: number } }

const spine = 'select user_id, at, amount, is_fraud from transactions where id % 40 = 0'
const inFolder = (name: string): string => join(folder, name)
const features = join(import.meta.dirname, 'features.ts')
const nextFeatures = join(import.meta.dirname, 'features-2.ts')
/** Users who transact in the tests, beside the thousand of the table. */
const newcomer = 5001n
const erased = 5002n

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-journey-'))
  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  drop = database.drop
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_DIR: inFolder('unused'),
  }
  db = openPostgres(database.url)
  await db.script(`
    create table transactions (
      id bigint generated always as identity, user_id bigint not null, at timestamptz not null, booked_at timestamptz not null,
      amount double precision not null, merchant text not null, is_fraud boolean not null);
    insert into transactions (user_id, at, booked_at, amount, merchant, is_fraud)
      select i * 7919 % 1000, now() - i * interval '120 s', now() - i * interval '120 s' + interval '1 s', i % 97, repeat('m', 60) || i % 50, i % 31 = 0
      from generate_series(1, 20000) i;
    analyze transactions;
    do $$ begin
      execute format('alter database %I set min_parallel_table_scan_size = 0', current_database());
      execute format('alter database %I set parallel_setup_cost = 0', current_database());
      execute format('alter database %I set parallel_tuple_cost = 0', current_database());
      -- the process that asks would else read so small a table alone, in its order
      execute format('alter database %I set parallel_leader_participation = off', current_database());
    end $$`)
  lockstep = commandsWith(env)
})

afterAll(async () => {
  killAll()
  await db?.close()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

/** The JSON of a command that succeeds. */
async function must<T>(...words: readonly string[]): Promise<T> {
  const { exitCode, out, err } = await lockstep(...words, '--json')
  if (exitCode !== 0) throw new Error(`lockstep ${words.join(' ')} ended with ${exitCode}: ${err}`)
  return JSON.parse(out) as T
}

async function fails(...words: readonly string[]): Promise<string> {
  const { exitCode, out, err } = await lockstep(...words)
  expect(exitCode, `of lockstep ${words.join(' ')}`).toBe(1)
  return `${out}${err}`
}

const client = () => createClient<typeof definitions>({ url })

async function spends(user: bigint, amount: number): Promise<void> {
  await db.query(`
    insert into transactions (user_id, at, booked_at, amount, merchant, is_fraud)
    values (${user}, now() - interval '2 s', now() - interval '1 s', ${amount}, 'a shop', false)`)
}

async function read(user: bigint) {
  const { results } = await client().features('fraud_features@1', [{ user_id: user, amount: 10 }])
  return results[0]
}

async function bareRead(): Promise<{ status: number; service: string }> {
  const body = { service: 'fraud_features', entities: [{ user_id: Number(newcomer), amount: 10 }] }
  const response = await fetch(`${url}/v1/features`, { method: 'POST', body: JSON.stringify(body) })
  const answer = (await response.json()) as { service?: string; version?: number }
  return { status: response.status, service: `${answer.service}@${answer.version}` }
}

describe('a newcomer with a table of their own', () => {
  it('plans, then applies exactly the plan', async () => {
    await must('migrate')
    const { exitCode, out } = await lockstep('plan', features, '--verbose')
    expect(exitCode).toBe(0)
    const statements = [...out.matchAll(/alter table [^;]+;|create index [^;]+;/g)].map(([statement]) => statement)
    expect(statements.length).toBeGreaterThanOrEqual(3)
    for (const statement of statements) await db.query(statement)
    await must('apply', features)
  })

  it('exports the same training set twice from an unordered query scanned in parallel', async () => {
    const plan = await db.query(`explain (format text) ${spine}`)
    expect(JSON.stringify(plan)).toContain('Parallel')
    const create = (name: string, ...more: readonly string[]) =>
      must<typeof trained>('dataset', 'create', 'fraud_features', '--spine', spine, '--out', inFolder(name), ...more)
    trained = await create('a.parquet')
    expect(trained.file.rows).toBe(500)
    expect((await create('b.parquet')).file.sha256).toBe(trained.file.sha256)
    const samples = [
      await create('s.parquet', '--sample', '0.1', '--seed', '1'),
      await create('t.parquet', '--sample', '0.1', '--seed', '1'),
    ]
    expect(samples[1]?.file).toMatchObject({ rows: samples[0]?.file.rows, sha256: samples[0]?.file.sha256 })
    expect(await must('dataset', 'verify', trained.id)).toMatchObject({ equal: true })
  })

  it('serves current values from a worker, and predicts', async () => {
    await writeFile(inFolder('fraud.onnx'), constantModel(0.25))
    await must('model', 'push', 'fraud', inFolder('fraud.onnx'), '--dataset', trained.id)
    server = start(env, 'serve', '--port', '0', '--json')
    url = (await server.until(/"url": "(http:[^"]+)"/))[1] ?? ''
    start(env, 'worker')
    await whenReady(url)
    await until(async () => (await read(1n).catch(() => undefined)) !== undefined)
    await spends(newcomer, 5)
    await until(async () => (await read(newcomer))?.features.txCount === 1)
    expect(await read(newcomer)).toMatchObject({ features: { txCount: 1, spent: 5, share: 2 }, statuses: { txCount: 'PRESENT' } })
    const { predictions, version } = await client().predict('fraud', [{ user_id: newcomer, amount: 10 }])
    expect([predictions, version]).toEqual([[{ probabilities: 0.25 }], 1])
  })

  it('applies a second version without a moment in which the first is not answered', async () => {
    const seen = new Set<string>()
    let watching = true
    const watched = (async () => {
      while (watching) {
        const { status, service } = await bareRead()
        seen.add(`${status} ${service}`)
      }
    })()
    await must('apply', nextFeatures)
    await until(async () => [...seen].some((answer) => answer.endsWith('@2')))
    watching = false
    await watched
    expect(seen).toEqual(new Set(['200 fraud_features@1', '200 fraud_features@2']))
    // what was deployed before goes on with the version that it was built with
    expect((await read(newcomer))?.features.txCount).toBe(1)
  })

  it('is warned that a model was trained on other features, and rolls back', async () => {
    await writeFile(inFolder('next.onnx'), constantModel(0.75))
    expect(await fails('model', 'push', 'fraud', inFolder('next.onnx'), '--dataset', trained.id)).toContain('fraud_features@1')
    const second = await must<typeof trained>('dataset', 'create', 'fraud_features', '--spine', spine, '--out', inFolder('c.parquet'))
    await must('model', 'promote', 'fraud@1')
    await must('model', 'push', 'fraud', inFolder('next.onnx'), '--dataset', second.id)
    const answered = async () => (await client().predict('fraud', [{ user_id: newcomer, amount: 10 }])).version
    await must('model', 'promote', 'fraud@2')
    await until(async () => (await answered()) === 2)
    await must('model', 'rollback', 'fraud')
    await until(async () => (await answered()) === 1)
  })

  it('erases a user, who then reads as NOT_FOUND', async () => {
    await spends(erased, 7)
    await until(async () => (await read(erased))?.features.txCount === 1)
    // rows in a table of one's own are one's own to delete
    await db.query(`delete from transactions where user_id = ${erased}`)
    await must('erase', 'user', String(erased), '--yes')
    await until(async () => (await read(erased))?.statuses.txCount === 'NOT_FOUND')
  })

  it('retires the first version once nothing needs it, and keeps the second', async () => {
    expect(await fails('prune', 'fraud_features@1', 'tx_context@1', 'user_spending@1')).toContain('model "fraud" version 1 needs it')
    await must('model', 'promote', 'fraud@2')
    await must('model', 'delete', 'fraud@1')
    await must('prune', 'fraud_features@1', 'tx_context@1', 'user_spending@1')
    const refusal = () =>
      read(newcomer).then(
        () => '',
        (error: Error) => error.message,
      )
    await until(async () => (await refusal()).includes('fraud_features@1'))
    await until(async () => (await bareRead()).service === 'fraud_features@2')
    await until(async () => (await client().predict('fraud', [{ user_id: newcomer, amount: 10 }])).version === 2)
  })
})
