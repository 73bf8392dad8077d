import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outputFields } from '../../registry/define/batch-output-fields.ts'
import { messageOf } from '../../kernel/errors.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { predictSpine } from '../../serving/predict/predict-spine.ts'
import type { BatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchOutput } from '../../serving/batch/batch-output.ts'
import type { Target } from '../../serving/batch/check-target.ts'
import { checkTarget } from '../../serving/batch/check-target.ts'
import type { BatchRequest } from '../../serving/batch/batch-spec.ts'
import { batchSpec } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

// Batches whose rows end in a table of PostgreSQL.

let world: World
let jobs: BatchJobs
const signal = new AbortController().signal
const rows = 60

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '3 minutes', n % 40 from generate_series(1, 100) n;
    create table spine as
    select n as id, 'A' || n % 9 as airport, timestamptz '2001-07-01' + n * interval '5 minutes' as at, 1.0 + n % 5 as distance from generate_series(1, ${rows}) n;
    create schema ml;
  `)
  await world.push('delay', 'logistic')
  jobs = createBatchJobs({ db: world.db, catalog: () => loadCatalog(world.db), log: createLogger('silent') })
})

afterAll(async () => {
  await jobs?.close()
  await world?.close()
})

type Change = Partial<BatchRequest> & { readonly out: string }

async function begin(id: string, { out, mode, key, ...change }: Change): Promise<Job> {
  const request: BatchRequest = {
    model: 'delay',
    version: null,
    spine: { sql: 'select id, airport, at, distance from spine order by id' },
    time: 'at',
    asOf: 'at',
    knownBefore: null,
    columns: null,
    onlineMicros: null,
    rowsPerPart: 20,
    maxRefused: null,
    minRows: null,
    overwrite: false,
    ...outputFields({ out, mode, key: key ?? undefined }),
    ...change,
  }
  const beginner = { db: world.db, catalog: await loadCatalog(world.db), kind: jobs.kind, worker: 'test', by: { actor: 'test' } }
  return (await beginBatch(beginner, id, request)).job
}

async function run(id: string, change: Change): Promise<Job> {
  const { id: job } = await begin(id, change)
  return await awaitJob(world.db, job, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
}

async function batchesIn(table: string): Promise<Record<string, number>> {
  const found = await world.db.query<{ id: string; n: number }>(
    `select _batch as id, count(*)::int4 as n from ${table} group by 1 order by 1`,
  )
  return Object.fromEntries(found.map(({ id, n }) => [id, n]))
}

async function leftovers(): Promise<readonly unknown[]> {
  return await world.db.query(`select relname from pg_class where relname ~ '^batch_' and relkind = 'r'`)
}

describe('a batch into a table', () => {
  it('has the rows of a folder, with their batch', async () => {
    expect(await run('scores/1', { out: 'postgres:scores' })).toMatchObject({ state: 'done', error: null, chunks: 4, result: { rows } })
    const found = await world.db.query<Record<string, unknown>>('select * from scores order by _ordinal')
    expect(Object.keys(found[0] ?? {})).toEqual(['id', 'airport', 'at', 'distance', '_ordinal', 'probabilities', '_status', '_batch'])
    expect(found.map(({ id }) => id)).toEqual(Array.from({ length: rows }, (_, i) => i + 1))
    const alone: unknown[] = []
    const spine = { sql: 'select id, airport, at, distance from spine order by id' }
    const asked = { model: 'delay', spine, time: 'at', log: createLogger('silent') }
    await predictSpine(world.db, await loadCatalog(world.db), asked, ({ predictions }) => {
      for (const value of predictions[0] ?? []) alone.push(Number.isFinite(value) ? value : null)
    })
    const rounded = found.map(({ probabilities: each }) => (each === null ? null : Math.fround(Number(each))))
    expect(rounded).toEqual(alone)
    expect(await leftovers()).toEqual([])
  })

  it('replaces another batch only where that is allowed', async () => {
    expect(await run('scores/2', { out: 'postgres:public.scores' })).toMatchObject({
      error: { code: 'FILE_EXISTS', message: expect.stringContaining('has the batch "scores/1" already') as string },
    })
    await world.db.script('create view best as select * from scores where _ordinal < 3')
    expect(await run('scores/2', { out: 'postgres:scores', overwrite: true })).toMatchObject({ state: 'done' })
    expect(await batchesIn('scores')).toEqual({ 'scores/2': rows })
    // what people made of the table goes on
    expect(await batchesIn('best')).toEqual({ 'scores/2': 2 })
  })

  it('stands beside other batches, and a second run replaces its own rows', async () => {
    const out = 'postgres:ml.daily'
    expect(await run(`it's day\\1`, { out, mode: 'append' })).toMatchObject({ state: 'done' })
    expect(await run('day 2', { out, mode: 'append' })).toMatchObject({ state: 'done' })
    expect(await batchesIn('ml.daily')).toEqual({ 'day 2': rows, [`it's day\\1`]: rows })
    // as if the batch had failed after it was complete
    await world.db.query(`update lockstep.jobs set state = 'failed' where subject = $1`, [`it's day\\1`])
    const spine = { sql: 'select id, airport, at, distance from spine where id <= 5' }
    expect(await run(`it's day\\1`, { out, mode: 'append', spine })).toMatchObject({ state: 'done' })
    expect(await batchesIn('ml.daily')).toEqual({ 'day 2': rows, [`it's day\\1`]: 5 })
  })

  it('keeps of each key the row of its latest time', async () => {
    const out = 'postgres:ml.latest'
    const late = { sql: 'select id, airport, at, distance from spine where id > 40' }
    expect(await run('late', { out, mode: 'upsert', spine: late })).toMatchObject({ state: 'done', result: { rows: 20 } })
    expect(await batchesIn('ml.latest')).toEqual({ late: 9 })
    const early = {
      sql: `select id, airport, at, distance from spine where id < 30 union all select 99, 'new', timestamptz '2001-07-01', 1`,
    }
    expect(await run('early', { out, mode: 'upsert', spine: early })).toMatchObject({ state: 'done' })
    expect(await batchesIn('ml.latest')).toEqual({ early: 1, late: 9 })
    const newest = await world.db.query(`select id from ml.latest where _batch = 'late' order by id`)
    expect(newest).toEqual([52, 53, 54, 55, 56, 57, 58, 59, 60].map((id) => ({ id })))
    expect(await run('by id', { out: 'postgres:ml.by_id', mode: 'upsert', key: ['id'] })).toMatchObject({ state: 'done' })
    expect(await batchesIn('ml.by_id')).toEqual({ 'by id': rows })
  })

  it('writes a part once, however many workers write it', async () => {
    const job = await begin('twice', { out: 'postgres:ml.twice' })
    const kind = {
      ...jobs.kind,
      run: async (...args: Parameters<typeof jobs.kind.run>) => {
        const [first, second] = await Promise.all([jobs.kind.run(...args), jobs.kind.run(...args)])
        expect(second).toMatchObject({ sha256: first.sha256, rows: first.rows })
        return await jobs.kind.run(...args)
      },
    }
    const ended = await awaitJob(world.db, job.id, { signal, work: { kinds: [kind], worker: 'test' } })
    expect(ended).toMatchObject({ state: 'done', error: null })
    expect(await batchesIn('ml.twice')).toEqual({ twice: rows })
    // a worker that was killed after the last transaction leaves the rest to another
    const spec = batchSpec.parse((await readJob(world.db, job.id)).spec)
    await createBatchOutput(world.db, job.id, spec).complete({ rows, columns: [], time: 'at' } as never)
    expect(await batchesIn('ml.twice')).toEqual({ twice: rows })
  })

  it('leaves nothing when it is cancelled, or fails', async () => {
    const job = await begin('gone', { out: 'postgres:ml.gone', rowsPerPart: 1 })
    const working = awaitJob(world.db, job.id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
    await expect.poll(async () => (await readJob(world.db, job.id)).chunksDone, { timeout: 60_000 }).toBeGreaterThan(1)
    await cancelJob(world.db, job.id, { actor: 'test' })
    await working
    await expect.poll(leftovers, { timeout: 60_000 }).toEqual([])
    expect(await world.db.query(`select to_regclass('ml.gone') as there`)).toEqual([{ there: null }])
  })

  it('does not keep readers waiting for a long one of them', async () => {
    await world.db.snapshot(async (snapshot) => {
      await snapshot.query('select count(*) from ml.daily')
      const { id } = await begin('waits', { out: 'postgres:ml.daily', overwrite: true })
      const working = awaitJob(world.db, id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
      const waits = () => world.db.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%ATTACH%'`)
      await expect.poll(async () => (await waits()).length, { timeout: 60_000, interval: 20 }).toBe(1)
      // once the change has given up, others read the table
      expect(await batchesIn('ml.daily')).toHaveProperty('day 2')
      void working
      return id
    })
    await expect.poll(() => batchesIn('ml.daily'), { timeout: 60_000 }).toEqual({ waits: rows })
  })
})

describe('a table that a batch cannot write', () => {
  const failing = async (change: Change) => (await run(`bad ${JSON.stringify(change)}`, change)).error
  it('is named with what to do', async () => {
    await world.db.script(`
      create table ml.other (id int4);
      create table ml.mixed (like scores) partition by list (_batch);
      create table ml.mine partition of ml.mixed for values in ('mine');
      create table ml.typed (id text, airport text, at timestamptz, distance numeric, _ordinal int8, probabilities float4[], _status text, _batch text);
      create table ml.unkeyed (like scores);
      create table ml.wide (like scores, more int4) partition by list (_batch);`)
    const cases: readonly (readonly [Change, string, string])[] = [
      [{ out: 'postgres:nowhere.scores' }, 'WRITE_FAILED', 'There is no schema "nowhere"'],
      [{ out: 'postgres:ml.other' }, 'COLUMNS_MISMATCH', 'has no column "id"|has the column "id" as integer|has no column "airport"'],
      [{ out: 'postgres:ml.unkeyed' }, 'COLUMNS_MISMATCH', 'not divided by "_batch"'],
      [{ out: 'postgres:ml.mixed' }, 'COLUMNS_MISMATCH', 'has the partition ml.mine, which is not of a batch'],
      [{ out: 'postgres:ml.wide' }, 'COLUMNS_MISMATCH', 'has a column "more"'],
      [{ out: 'postgres:ml.typed', mode: 'upsert' }, 'COLUMNS_MISMATCH', 'has the column "id" as text'],
      [{ out: 'postgres:ml.unkeyed', mode: 'upsert' }, 'COLUMNS_MISMATCH', 'has no unique index on "airport"'],
      [{ out: 'postgres:scores', mode: 'upsert' }, 'COLUMNS_MISMATCH', 'is divided by batches'],
      [{ out: 'postgres:ml.new', mode: 'upsert', columns: ['id'] }, 'SPINE_INVALID', 'have no column "airport"'],
    ]
    for (const [change, code, message] of cases)
      expect(await failing(change)).toMatchObject({ code, message: expect.stringMatching(message) as string })
    expect(await leftovers()).toEqual([])
  })

  it('of several parts needs sources that record arrivals, and says what else to do', async () => {
    await world.db.script('alter table lockstep_source.landings rename column "_xid" to "not_xid"')
    try {
      expect(await failing({ out: 'postgres:ml.unrecorded' })).toMatchObject({
        code: 'NOT_REPRODUCIBLE',
        message: expect.stringMatching(
          /"landings" has no column "_xid".*, or let one part have all 60 rows \(--rows-per-part\)\.$/,
        ) as string,
      })
    } finally {
      await world.db.script('alter table lockstep_source.landings rename column "not_xid" to "_xid"')
    }
  })

  it('needs rights', async () => {
    const user = `batch_user_${process.pid}`
    await world.db.script(
      `create role ${user} login password 'secret'; grant usage on schema ml to ${user}; grant select on ml.unkeyed to ${user}`,
    )
    const url = new URL(world.postgresUrl)
    const own = openPostgres(Object.assign(url, { username: user, password: 'secret' }).href)
    try {
      const target = { schema: 'ml', table: 'fresh', id: 'rights', mode: 'replace', key: [], columns: [], overwrite: false } as const
      const refused = async (change: Partial<Target>) => checkTarget(own, { ...target, ...change }).then(() => null, messageOf)
      expect(await refused({})).toContain(`"${user}" of the database may not create tables in the schema "ml"`)
      expect(await refused({ table: 'unkeyed', mode: 'upsert' })).toContain('may not read and write the table "ml.unkeyed"')
      await world.db.script(`grant create on schema ml to ${user}`)
      expect(await refused({ table: 'twice' })).toContain('is not the owner of the table "ml.twice"')
    } finally {
      await own.close()
      await world.db.script(`drop owned by ${user}; drop role ${user}`)
    }
  })

  it('is refused by its name', () => {
    for (const out of [
      'postgres:',
      'postgres:a.b.c',
      'postgres:lockstep.jobs',
      'postgres:pg_catalog.pg_class',
      'postgres:drop table',
      'postgres:1a',
    ])
      expect(() => outputFields({ out })).toThrow(/is no table for a batch/)
    expect(() => outputFields({ out: 'postgres:a', format: 'csv' })).toThrow(/no format/)
    expect(() => outputFields({ out: 'postgres:a', key: ['id'] })).toThrow(/Only the mode "upsert" has a key/)
    expect(() => outputFields({ out: 's3://a/b', mode: 'append' })).toThrow(/is a folder/)
    expect(outputFields({ out: 'postgres:a', mode: 'upsert', key: ['id'] })).toEqual({
      out: 'postgres:public.a',
      format: 'table',
      mode: 'upsert',
      key: ['id'],
    })
  })
})
