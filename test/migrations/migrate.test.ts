import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { sql } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { runningBackfill } from '../../materializer/backfills/backfill.ts'
import { readBackfills } from '../../materializer/backfills/read-backfills.ts'
import { claimStep } from '../../runtime/jobs/steps.ts'
import { migrations } from '../../migrations/list.ts'
import { pendingMigrations } from '../../migrations/migrate.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { migrateDatabase, requireMigrated } from '../../runtime/postgres/migrated.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { programFile } from '../cli/run-lockstep.ts'
import type { OpenedDatabase } from '../opened-database.ts'
import { during, openEmbedded, openServer } from '../opened-database.ts'
import { testDatabase } from '../services/index.ts'
import { describeSchema } from './describe-schema.ts'

const all = Object.keys(migrations)
const schemaFile = join(import.meta.dirname, '../../migrations/schema.txt')

const databases = { PostgreSQL: () => openServer({ migrate: false }), PGlite: () => openEmbedded({ migrate: false }) }

describe.each(Object.entries(databases))('the migrations on %s', (_, open) => {
  const opened = during<OpenedDatabase>(open)
  let db: Database
  beforeAll(() => {
    db = opened().db
  })

  it('are pending on an empty database, with the command to run', async () => {
    expect(await pendingMigrations(db.kysely)).toEqual(all)
    await expect(requireMigrated(db.kysely)).rejects.toMatchObject({
      code: 'MIGRATIONS_PENDING',
      message: expect.stringContaining('run "lockstep migrate"') as string,
      details: { pending: all },
    })
  })

  it('are not run if the signal is aborted meanwhile', async () => {
    const stopping = new AbortController()
    const migrating = migrateDatabase(db.kysely, { signal: stopping.signal })
    setImmediate(() => stopping.abort(new LockstepError('STOPPED', 'Stopped.')))
    await expect(migrating).rejects.toMatchObject({ code: 'STOPPED' })
    expect(await pendingMigrations(db.kysely)).toEqual(all)
  })

  it('run once, and a second time do nothing', async () => {
    expect(await migrateDatabase(db.kysely)).toEqual(all)
    expect(await migrateDatabase(db.kysely)).toEqual([])
    expect(await pendingMigrations(db.kysely)).toEqual([])
    await requireMigrated(db.kysely)
  })

  it('make exactly the schema that is written down', async () => {
    await expect(await describeSchema(db)).toMatchFileSnapshot(schemaFile)
  })

  it('create tables that match their types', async () => {
    const { kysely } = db
    await kysely
      .insertInto('lockstep.definitions')
      .values({ kind: 'view', name: 'a', version: 1, fingerprint: 'f', spec: '{"b": 1, "a": 2}', operational: '{}', retired_at: null })
      .execute()
    const [definition] = await kysely.selectFrom('lockstep.definitions').selectAll().execute()
    expect(definition).toMatchObject({
      kind: 'view',
      version: 1,
      spec: { b: 1, a: 2 },
      created_at: expect.any(Date) as Date,
      retired_at: null,
    })
    expect(JSON.stringify(definition?.spec)).toBe('{"b":1,"a":2}')

    const bytes = Buffer.from([0, 1, 255])
    const shape = { inputs: '[]', outputs: '[]', metadata: '{}', service_name: 's', service_version: 1, service_fingerprint: 'f' }
    await kysely
      .insertInto('lockstep.model_versions')
      .values({ model: 'm', version: 1, bytes, sha256: 'x', size_bytes: 3, ...shape })
      .execute()
    const model = await kysely.selectFrom('lockstep.model_versions').select('bytes').executeTakeFirstOrThrow()
    expect(Buffer.isBuffer(model.bytes) && model.bytes.equals(bytes)).toBe(true)

    const big = '9007199254740993'
    const run = {
      view: 'a@1',
      fingerprint: 'f',
      store: 's',
      from_xid: '0',
      to_xid: big,
      moment: '-1',
      rows: '0',
      entities: '0',
      finished_at: null,
    }
    const inserted = await kysely
      .insertInto('lockstep.materialization_runs')
      .values(run)
      .returning(['id', 'to_xid'])
      .executeTakeFirstOrThrow()
    expect(inserted).toEqual({ id: '1', to_xid: big })

    expect(await kysely.selectFrom('lockstep.registry_state').selectAll().execute()).toEqual([{ only: true, revision: 0 }])
    await expect(kysely.insertInto('lockstep.registry_state').values({ revision: 1 }).execute()).rejects.toMatchObject({ code: '23505' })
  })

  it('of a newer Lockstep are not changed', async () => {
    await sql`insert into lockstep.migrations values ('9999-of-the-future', '2999-01-01')`.execute(db.kysely)
    const newer = { code: 'SCHEMA_NEWER', message: expect.stringContaining('"9999-of-the-future"') as string }
    await expect(migrateDatabase(db.kysely)).rejects.toMatchObject(newer)
    await expect(requireMigrated(db.kysely)).rejects.toMatchObject(newer)
    await sql`delete from lockstep.migrations where name = '9999-of-the-future'`.execute(db.kysely)
  })
})

describe('the migrations', () => {
  it('are numbered in order', () => {
    expect(all).toEqual([...all].sort())
    for (const name of all) expect(name).toMatch(/^\d{4}-[a-z-]+$/)
    expect(new Set(all.map((name) => name.slice(0, 4))).size).toBe(all.length)
  })

  it('run once if four processes run them at the same time on an empty database', async () => {
    const database = await testDatabase({ migrate: false })
    const processes = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, [programFile('test/migrations/migrate-process'), database.url], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() }
    })
    for (const { lines } of processes) expect((await lines.next()).value).toBe('ready')
    for (const { child } of processes) child.stdin.end('go')
    const answers = await Promise.all(processes.map(async ({ lines }) => JSON.parse(String((await lines.next()).value)) as unknown))
    expect(answers).toHaveLength(4)
    expect(answers).toContainEqual({ ran: all, pending: [] })
    expect(answers.filter((answer) => JSON.stringify(answer) === JSON.stringify({ ran: [], pending: [] }))).toHaveLength(3)
    await database.drop()
  })

  it('keep model files uncompressed, so that parts can be read quickly', async () => {
    const { db, close } = await openServer()
    const shape = `'[]', '[]', '{}', 's', 1, 'f'`
    const push = (version: number) =>
      db.query(`insert into lockstep.model_versions (model, version, bytes, sha256, size_bytes, inputs, outputs, metadata, service_name, service_version, service_fingerprint)
        select 'm', ${version}, convert_to(repeat('0123456789', 100000), 'UTF8'), 'x', 1000000, ${shape}`)
    const stored = () =>
      db.query('select version, pg_column_size(bytes) as size, md5(bytes) as md5 from lockstep.model_versions order by version')
    await push(1)
    const plain = { size: 1_000_000, md5: expect.any(String) as string }
    expect(await stored()).toEqual([{ version: 1, ...plain }])
    // as a database has it that comes from before
    await db.script('alter table lockstep.model_versions alter column bytes set storage extended')
    await push(2)
    const [first, second] = await stored()
    expect(second?.['size']).toBeLessThan(100_000)
    await migrations['0011-model-bytes-plain']?.up(db.kysely)
    expect(await stored()).toEqual([first, { version: 2, ...plain, md5: first?.['md5'] }])
    await close()
  })

  it('move backfills to jobs: running ones continue, the others stay in history', async () => {
    const { db, close } = await openServer()
    // as a database has them that comes from before
    await db.script('drop table lockstep.job_chunks, lockstep.jobs')
    await migrations['0003-backfills']?.up(db.kysely)
    await db.script(`
      create schema lockstep_jobs; create table lockstep_jobs.queue (name text);
      insert into lockstep.materialization_runs (view, fingerprint, store, from_xid, to_xid, moment, rows, entities, started_at)
        values ('delays@1', 'f', 'redis:1', 0, 0, 5, 0, 0, '2026-03-01T12:00:00.123Z');
      insert into lockstep.backfills
        (view, fingerprint, store, from_time, to_time, moment, run, origin, origin_started_at, chunks, state, error, started_by, finished_at)
        values ('delays@1', 'f', 'redis:1', 1, 9, 5, 1, 1, '2026-03-01T12:00:00.123Z', 2, 'failed', '{"code":"INTERNAL","message":"no"}', 'a:1', now()),
          ('delays@1', 'f', 'redis:1', null, null, 5, 1, 1, '2026-03-01T12:00:00.123Z', 2, 'running', null, 'a:1', null);
      insert into lockstep.backfill_chunks (backfill, chunk, from_key, to_key, below, rows, entities, worker, finished_at)
        values (1, 0, 'null', 'null', null, null, null, null, null), (1, 1, 'null', 'null', 7, 3, 2, 'a:1', now()),
          (2, 0, 'null', '["m"]', 7, 3, 2, 'a:1', now()), (2, 1, '["m"]', 'null', null, null, null, null, null)`)
    await migrations['0019-jobs']?.up(db.kysely)
    // which this version reads and writes
    await migrations['0053-job-doing']?.up(db.kysely)
    const run = { id: '1', startedAt: new Date('2026-03-01T12:00:00.123Z') }
    const plan = { fingerprint: 'f', moment: 5, run, origin: run }
    const same = { view: 'delays@1', store: 'redis:1', plan, startedBy: 'a:1', chunks: 2, chunksDone: 1, rows: 3, entities: 2 }
    expect(await readBackfills(db)).toMatchObject([
      { ...same, id: 2, state: 'running', events: null, error: null },
      { ...same, id: 1, state: 'failed', events: { from: 1, to: 9 }, error: { code: 'INTERNAL', message: 'no' } },
    ])
    expect(await runningBackfill(db, { view: 'delays@1', store: 'redis:1', events: null })).toBe(2)
    const steps = await db.query('select job, number, state, data from lockstep.job_chunks order by job, number')
    expect(steps.map(({ job, number, state, data }) => [job, number, state, data])).toEqual([
      ['1', 0, 'closed', null],
      ['1', 1, 'done', null],
      ['2', 0, 'done', null],
      ['2', 1, 'open', { from: ['m'], to: null }],
    ])
    const wanted = { kinds: [{ kind: 'backfill', scope: 'redis:1' }], worker: 'b:2' }
    expect(await claimStep(db, wanted)).toMatchObject({ step: 'chunk', number: 1, job: { id: 2 } })
    const [next] = await db.query<{ id: string }>(`select nextval(pg_get_serial_sequence('lockstep.jobs', 'id')) as id`)
    expect(next?.id).toBe('3')
    expect(await db.query(`select to_regclass('lockstep_jobs.queue') as queue, to_regclass('lockstep.backfills') as backfills`)).toEqual([
      { queue: null, backfills: null },
    ])
    await close()
  })

  it('give up behind a long read of the prediction log, so that servers go on writing to it', async () => {
    const { db, close } = await openServer()
    await db.script(`alter table lockstep.prediction_log drop column stages; delete from lockstep.migrations where name >= '0042'`)
    await db.kysely.transaction().execute(async (reader) => {
      await sql`select from lockstep.prediction_log`.execute(reader)
      await expect(migrateDatabase(db.kysely)).rejects.toThrow(
        'The migration "0042-prediction-stages" failed, and nothing was changed: another session has held a lock for too long (canceling statement due to lock timeout). End it, or run the migration again when it has ended.',
      )
    })
    await close()
  })

  it('say that another one runs if the role has a lock_timeout', async () => {
    const { db, url, close } = await openServer()
    const impatient = openPostgres(`${url}?options=-c%20lock_timeout=20`)
    await db.kysely.connection().execute(async (other) => {
      await sql`select pg_advisory_lock(5496228817)`.execute(other)
      await expect(migrateDatabase(impatient.kysely)).rejects.toThrow(
        'The migration of the database failed, and nothing was changed: another session has held a lock for too long (canceling statement due to lock timeout). End it, or run the migration again when it has ended.',
      )
      await sql`select pg_advisory_unlock(5496228817)`.execute(other)
    })
    expect(await migrateDatabase(impatient.kysely)).toEqual([])
    await impatient.close()
    await close()
  })

  it('name what prints the grants if the role may not create a schema', async () => {
    const { db, url, close } = await openServer({ migrate: false })
    const role = `lesser_${process.pid}`
    await db.script(`create role ${role} login password 'lesser'`)
    const own = new URL(url)
    ;[own.username, own.password] = [role, 'lesser']
    const lesser = openPostgres(own.href)
    await expect(migrateDatabase(lesser.kysely)).rejects.toThrow(/permission denied .*\. Run "lockstep doctor", which prints the grants/)
    await lesser.close()
    await db.script(`drop role ${role}`)
    await close()
  })

  it('roll back everything if one fails', async () => {
    const { db, close } = await openServer({ migrate: false })
    await db.script('create schema lockstep; create table lockstep.datasets (other int)')
    await expect(migrateDatabase(db.kysely)).rejects.toThrow(
      'The migration "0001-initial" failed, and nothing was changed: relation "datasets" already exists.',
    )
    expect(await pendingMigrations(db.kysely)).toEqual(all)
    expect(await db.query(`select to_regclass('lockstep.definitions') as found`)).toEqual([{ found: null }])
    await db.script('drop table lockstep.datasets')
    expect(await migrateDatabase(db.kysely)).toEqual(all)
    await close()
  })
})
