import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { beginBackfill } from '../../materializer/backfills/backfill.ts'
import type { Backfill } from '../../materializer/backfills/read-backfills.ts'
import { backfillOf, readBackfill } from '../../materializer/backfills/read-backfills.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { endJob } from '../../runtime/jobs/end-job.ts'
import { readSteps } from '../../runtime/jobs/read-jobs.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { storedStates } from '../materializer/payments.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const definitions = `import { count, entity, featureView, last, lastN, mean, source, t } from 'lockstep'
const seat = entity('seat', { key: { airport: t.string, gate: t.int32 } })
const landings = source('landings', { key: { airport: 'airport', gate: 'gate' }, eventTime: 'at', columns: { delay: t.float64, word: t.string } })
export const delays = featureView('delays', { version: 1, entity: seat, source: landings, online: true, features: { word: last('word'), n: count('1d'), mean: mean('delay', '6h') } })
export const again = featureView('again', { version: 1, entity: seat, source: landings, online: true, features: { word: last('word') } })
export const cancelled = featureView('cancelled', { version: 1, entity: seat, source: landings, online: true, features: { n: count('lifetime') } })
export const killed = featureView('killed', { version: 1, entity: seat, source: landings, online: true, features: { n: count('lifetime'), m: mean('delay', '1d') } })
export const capped = featureView('capped', { version: 1, entity: seat, source: landings, online: true, maxStateBytes: '500b', features: { words: lastN('word', 100, 'lifetime') } })
export const unlucky = featureView('unlucky', { version: 1, entity: seat, source: landings, online: true, derive: { half: t.float64 },
  transform: (row) => { if (row.delay === 13) throw new Error('thirteen'); return { half: row.delay === null ? null : row.delay / 2 } },
  features: { half: last('half') } })
`
const rows = 8_000
const moment = 1_000_000_000_000_000
const keys = Array.from({ length: 50 }, (_, i) => [`Ä'${i % 10}`, (i % 25) - 5] as const)

describe('a backfill', () => {
  let db: Database
  let env: Environment
  let folder: string
  let store: OnlineStore
  let other: OnlineStore
  let plans: ReadonlyMap<string, ViewPlan>
  let close: () => Promise<void>
  const plan = (id: string): ViewPlan => plans.get(id) as ViewPlan
  const tools = () => ({ db, store, worker: 'test' })
  const insert = (from: number, to: number) =>
    db.query(
      `INSERT INTO lockstep_source.landings (airport, gate, at, delay, word)
      SELECT 'Ä''' || n % 10, n % 25 - 5, '2001-01-01'::timestamptz + n * interval '17 s', CASE WHEN n % 9 = 0 THEN NULL ELSE n % 97 END, 'x' || n % 13
      FROM generate_series(${from}, ${to}) n`,
    )
  /** Of a view, without where they are from. */
  const states = (of: OnlineStore, view: ViewPlan) =>
    storedStates(
      of,
      view,
      keys.map((key) => encodeKey(view.key, [...key])),
    )
  const startWorker = async (...options: readonly string[]): Promise<Running> => {
    const running = start(env, 'worker', '--only', 'views', ...options)
    await running.until(/waits for/)
    return running
  }
  const end = async ({ child, ended }: Running): Promise<string> => {
    child.kill('SIGTERM')
    const { code, err } = await ended
    expect(code, err).toBe(0)
    return err
  }
  const done = async (id: number): Promise<Backfill> => {
    return backfillOf(await awaitJob(db, id, { signal: AbortSignal.timeout(180_000) }))
  }
  /** How many chunks of a backfill tell a key. */
  const bounds = async (id: number): Promise<number> => {
    const found = await db.query<{ n: string }>(`select count(*) n from lockstep.job_chunks where job = ${id} and data::text <> 'null'`)
    return Number(found[0]?.n)
  }
  const whileLocked = (run: () => Promise<void>): Promise<void> =>
    db.kysely.transaction().execute(async (transaction) => {
      await sql.raw('lock table lockstep_source.landings in access exclusive mode').execute(transaction)
      await run()
    })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-backfill-'))
    const database = await testDatabase()
    const [redis, second] = [await testRedis(), await testRedis()]
    db = openPostgres(database.url)
    store = createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix })
    other = createRedisStore({ redis: new Redis(second.url), prefix: second.prefix })
    env = {
      LOCKSTEP_POSTGRES_URL: database.url,
      LOCKSTEP_REDIS_URL: redis.url,
      LOCKSTEP_REDIS_PREFIX: redis.prefix,
      LOCKSTEP_DIR: join(folder, '.lockstep'),
    }
    await must(env, 'apply', join(definitionFiles({ 'all.ts': definitions }), 'all.ts'))
    await insert(1, rows)
    await db.query('ANALYZE lockstep_source.landings')
    plans = (await loadCatalog(db)).views
    close = async () => {
      await store.close()
      await other.close()
      await db.close()
      await rm(folder, { recursive: true, force: true })
      await database.drop()
    }
  })
  afterEach(() => killAll())
  afterAll(() => close?.())

  it('writes the same bytes as a run, and can be repeated for chosen entities', async () => {
    const view = plan('delays@1')
    const printed = await must(env, 'backfill', 'delays', '--chunks', '5')
    expect(printed).toMatchObject({
      view: 'delays@1',
      state: 'done',
      chunks: 5,
      chunksDone: 5,
      rows,
      entities: 50,
      joined: false,
      secondsLeft: null,
    })
    await materializeView(db, other, view)
    expect(await states(store, view)).toEqual(await states(other, view))
    expect(await must(env, 'materialize', 'delays')).toMatchObject({ views: [{ rows: 0, entities: 0 }] })

    // what was changed behind the back of runs
    await db.query(`UPDATE lockstep_source.landings SET delay = 1000, _xid = _xid WHERE airport = 'Ä''3' AND at > '2001-01-02'`)
    await materializeView(db, other, view, { rebuild: true })
    const some = await must(env, 'backfill', 'delays', '--from', '2001-01-02T13:46:00Z', '--to', '2001-01-02T13:50:00Z', '--chunks', '2')
    expect(some).toMatchObject({ state: 'done', from: '2001-01-02T13:46:00Z' })
    expect(some['entities' as keyof typeof some]).toBeLessThan(20)
    await must(env, 'backfill', 'delays', '--chunks', '3')
    expect(await states(store, view)).toEqual(await states(other, view))
    expect(await bounds(Number(printed['id' as keyof typeof printed]))).toBe(0)
  })

  it('is joined by a second one of the same range only, and can be cancelled', async () => {
    const view = plan('cancelled@1')
    const events = { from: moment - 1, to: moment }
    await expect(beginBackfill(tools(), view, { events, now: () => moment })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    const first = await beginBackfill(tools(), view, { chunks: 4, now: () => moment })
    const [second, third] = await Promise.all([1, 2].map(() => beginBackfill(tools(), view, { chunks: 9, now: () => moment })))
    expect([first.joined, second, third]).toEqual([false, { id: first.id, joined: true }, { id: first.id, joined: true }])
    expect(await readBackfill(db, first.id)).toMatchObject({ chunks: 4, chunksDone: 0, secondsLeft: null })
    expect(await bounds(first.id)).toBe(4)
    const waiting = start(env, 'backfill', 'cancelled', '--no-work')
    await waiting.until(/Backfilling/)
    expect((await must(env, 'status'))['backfills' as never]).toMatchObject([{ id: first.id, view: 'cancelled@1', state: 'running' }])
    expect(await must(env, 'backfill', 'cancelled', '--cancel')).toMatchObject({ id: first.id, state: 'cancelled' })
    expect(await waiting.ended).toMatchObject({
      code: 1,
      err: expect.stringContaining(`The backfill ${first.id} of "cancelled@1" was cancelled`),
    })
    expect(await endJob(db, first.id, 'cancelled')).toBe(false)
    expect(new Set((await readSteps(db, first.id)).map(({ state }) => state))).toEqual(new Set(['closed']))
    expect(await bounds(first.id)).toBe(0)
    expect(await lockstep(env, 'backfill', 'cancelled', '--cancel')).toMatchObject({ code: 1, err: expect.stringContaining('NOT_FOUND') })
  })

  it('names the entities over the cap of their view', async () => {
    const { code, err } = await lockstep(env, 'backfill', 'capped', '--chunks', '1')
    expect([code, err]).toEqual([0, expect.stringMatching(/STATE_TOO_LARGE.*capped@1.*is not in the online store/)])
  })

  it('sets aside entities whose rows cannot be folded, and continues with the others', async () => {
    const aside = /TRANSFORM_FAILED.*unlucky@1.* is set aside.*thirteen/
    const { code, out, err } = await lockstep(env, 'backfill', 'unlucky', '--chunks', '2')
    expect([code, out, err]).toEqual([1, expect.stringMatching(/set aside: .*thirteen/), expect.stringMatching(aside)])
    // also where another process does the work
    const begun = await lockstep(env, 'backfill', 'unlucky', '--detach', '--chunks', '2')
    expect(begun.code).toBe(0)
    const worker = await startWorker()
    const waited = await lockstep(env, 'backfill', 'unlucky', '--no-work')
    expect([waited.code, waited.out]).toEqual([1, expect.stringContaining('thirteen')])
    await end(worker)
    expect(await lockstep(env, 'backfill', 'unlucky', '--from', '2001-01-02')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--to'),
    })
  })

  it('restarted after its process was killed, continues with the rest', async () => {
    const view = plan('again@1')
    const begun = await beginBackfill(tools(), view, { chunks: 3, now: () => moment })
    expect(await must(env, 'backfill', 'again')).toMatchObject({ id: begun.id, joined: true, chunks: 3, state: 'done' })
    await materializeView(db, other, view, { moment })
    expect(await states(store, view)).toEqual(await states(other, view))
  })

  it('continues after a worker is killed inside a chunk, with the same bytes', async () => {
    const view = plan('killed@1')
    let id = 0
    const begun = await beginBackfill(tools(), view, { chunks: 6, now: () => moment, leaseSeconds: 3 })
    id = begun.id
    await whileLocked(async () => {
      const killed = await startWorker('--concurrency', '2')
      await killed.until(new RegExp(`chunk \\d of backfill ${id}"[^]*chunk \\d of backfill ${id}"`))
      killed.child.kill('SIGKILL')
      await killed.ended
    })
    await insert(rows + 1, rows + 200)
    const worker = await startWorker('--metrics-port', '0')
    const [, port] = await worker.until(/metrics are on port (\d+)/)
    const answers = await Promise.all(['metrics', 'livez', 'other'].map((path) => fetch(`http://127.0.0.1:${port}/${path}`)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404])
    expect(await answers[0]?.text()).toContain('# TYPE lockstep_jobs_total counter')
    // the worker also keeps the view current, and a chunk does not count entities whose state holds all rows already
    expect(await done(id)).toMatchObject({ state: 'done', chunksDone: 6, error: null })
    await end(worker)
    await materializeView(db, store, view, { moment })
    await materializeView(db, other, view, { moment })
    expect((await states(other, view)).size).toBe(50)
    expect(await states(store, view)).toEqual(await states(other, view))
  })
})
