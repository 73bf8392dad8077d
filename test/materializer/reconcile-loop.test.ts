import { isDeepStrictEqual } from 'node:util'
import { sql } from 'kysely'
import { describe, expect, it, vi } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import { maxPendingRows } from '../../kernel/states/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { failBackfills, readBackfill, readBackfills } from '../../materializer/backfills/read-backfills.ts'
import type { BackfillTools } from '../../materializer/backfills/backfill.ts'
import { backfills, beginBackfill } from '../../materializer/backfills/backfill.ts'
import { readFailingViews } from '../../materializer/runs/failing-views.ts'
import { reconcileViews } from '../../materializer/runs/reconcile-loop.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { askForScheduledRun, givenUpRuns, scheduledRunKind, scheduledRuns } from '../../materializer/runs/scheduled-runs.ts'
import { readHistory } from '../../offline/history.ts'
import { readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { endJob } from '../../runtime/jobs/end-job.ts'
import { readJob, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import { freshView, many, materializerFixture, moment } from './fixture.ts'
import { createPaymentsTable } from './payments-table.ts'
import type { Payment } from './payments.ts'
import { accountKey, start, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()
const minute = 60_000_000
const log = createLogger('silent')
const instant = Math.floor(moment / (5 * minute)) * 5 * minute
const availability = { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: minute } as const

describe('what keeps views current', () => {
  /** So many workers over these views. */
  const keep = async (plans: readonly ViewPlan[], workers: number, clock: () => number, until: () => Promise<boolean>) => {
    const { db, store } = fixture().open('redis')
    const stop = new AbortController()
    const views = new Map(plans.map((plan) => [plan.id, plan]))
    const view = (id: string): ViewPlan => views.get(id as ViewPlan['id']) as ViewPlan
    const find = (id: string): Promise<ViewPlan> => Promise.resolve(view(id))
    const runs: { view: string; moment: number; rows: number }[] = []
    const onRun = ({ id }: ViewPlan, { moment: at, rows }: { moment: number; rows: number }): void =>
      void runs.push({ view: id, moment: at, rows })
    const tools = { db, store, worker: 'test', log, clock, catalog: async () => ({ views, online: new Set(views.keys()), view }) }
    const kinds = [backfills(tools, find, { now: clock }), scheduledRuns(tools, find, onRun)]
    const all = Array.from({ length: workers }, () =>
      Promise.all([
        reconcileViews(tools, { signal: stop.signal, onRun, pollMs: 50 }),
        workOnJobs(db, { kinds, worker: 'test', signal: stop.signal, idleMs: 50 }),
      ]),
    )
    try {
      await expect.poll(until, { timeout: 60_000 }).toBe(true)
    } finally {
      stop.abort()
      await Promise.all(all)
    }
    return runs
  }

  it('fills a view that the store lacks, and then folds what arrives, beside others', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(500))
    const isCurrent = async (): Promise<boolean> => {
      const states = await storedStates(store, plan, table.keys(plan))
      return isDeepStrictEqual(states, table.expected(plan, moment))
    }
    const filled = async (): Promise<string[]> => {
      const all = await readBackfills(db)
      return all.flatMap(({ view, state }) => (view === plan.id ? [state] : []))
    }
    await keep(
      [plan],
      3,
      () => moment,
      async () => (await isCurrent()) && !(await filled()).includes('running'),
    )
    expect(await filled()).toEqual(['done'])
    await table.insert(many(700))
    const runs = await keep([plan], 3, () => moment, isCurrent)
    expect(runs.reduce((sum, { rows }) => sum + rows, 0)).toBe(700)

    await store.removeView(plan.id)
    await keep(
      [plan],
      2,
      () => moment,
      async () => (await readCheckpoint(store, plan.id)) !== null && (await isCurrent()) && !(await filled()).includes('running'),
    )
  })

  it('begins to fill 16 missing views with few locks at a time, and one for each', async () => {
    const { db, store } = fixture().open('redis')
    const { name } = await createPaymentsTable(db, 'missing')
    const plans = Array.from({ length: 16 }, (_, i) => paymentsPlan({ name: `missing${i}`, relation: { kind: 'table', table: name } }))
    const locks = { taken: 0, held: 0, most: 0 }
    const counted: Database = {
      ...db,
      async tryLock(group, id) {
        locks.most = Math.max(locks.most, ++locks.held)
        locks.taken++
        const release = await db.tryLock(group, id)
        if (release === null) locks.held--
        return release === null ? null : async () => (locks.held--, await release())
      },
    }
    const views = new Map(plans.map((plan) => [plan.id, plan]))
    const view = (id: string): ViewPlan => views.get(id as ViewPlan['id']) as ViewPlan
    let polls = 0
    const catalog = async () => (polls++, { views, online: new Set(views.keys()), view })
    const stop = new AbortController()
    const tools = { db: counted, store, worker: 'test', log, clock: () => moment, catalog }
    const kept = reconcileViews(tools, { signal: stop.signal, pollMs: 50 })
    const begun = async () => {
      const running = await readBackfills(db, { state: 'running', store: await store.identity() })
      return running.filter((backfill) => views.has(backfill.view as ViewPlan['id'])).length
    }
    try {
      await expect.poll(begun, { timeout: 100_000 }).toBe(plans.length)
      const then = polls
      await expect.poll(() => polls, { timeout: 100_000 }).toBeGreaterThan(then + 2)
    } finally {
      stop.abort()
      await kept
      await failBackfills(db, await store.identity(), { code: 'STOPPED', message: 'The test has ended.' })
    }
    expect(locks).toEqual({ taken: plans.length, held: 0, most: expect.any(Number) })
    expect(locks.most).toBeLessThanOrEqual(2)
  })

  it('counts a failure for each view while the store is a replica, and logs it once', async () => {
    const { db } = fixture().open('redis')
    const redis = await ownRedis('redis-server')
    const store = await openOnlineStore({ redisUrl: redis.url, redisPrefix: 'replica', directory: '/nowhere' })
    const stop = new AbortController()
    try {
      const plans = [(await freshView(db)).plan, (await freshView(db)).plan]
      for (const plan of plans) await materializeView(db, store, plan, { moment })
      await asking(redis.port, (admin) => admin.replicaof('127.0.0.1', 1))
      const [failures, lines]: [string[], string[]] = [[], []]
      let looks = 0
      const views = new Map(plans.map((plan) => [plan.id, plan]))
      const view = (id: string): ViewPlan => views.get(id as ViewPlan['id']) as ViewPlan
      const catalog = async () => (looks++, { views, online: new Set(views.keys()), view })
      const logged = createLogger('warn', { write: (line) => void lines.push(line) })
      const kept = reconcileViews(
        { db, store, worker: 'test', log: logged, clock: () => moment, catalog },
        { signal: stop.signal, pollMs: 10, onFailure: ({ id }, error) => void failures.push(`${id}: ${String(error)}`) },
      )
      await expect.poll(() => looks, { timeout: 60_000 }).toBeGreaterThan(2)
      stop.abort()
      await kept
      expect(failures).toEqual(plans.map(({ id }) => expect.stringMatching(new RegExp(`^${id}: .*It is a replica`)) as string))
      expect(lines).toEqual([expect.stringContaining('the views cannot be kept up to date')])
    } finally {
      stop.abort()
      await store.close()
      await redis.stop()
    }
  })

  it('does not refill a view that another process has filled since its checkpoint', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    const tools = { db, store, worker: 'test', log, clock: () => moment }
    let reads = 0
    const late: OnlineStore = {
      ...store,
      async read(keys) {
        const read = await store.read(keys)
        if (reads++ === 0) await finish(tools, plan, (await beginBackfill(tools, plan, { chunks: 1, now: () => moment })).id)
        return read
      },
    }
    const stop = new AbortController()
    const catalog = { views: new Map([[plan.id, plan]]), online: new Set([plan.id]), view: () => plan }
    const kept = reconcileViews({ ...tools, store: late, catalog: async () => catalog }, { signal: stop.signal, pollMs: 10 })
    await expect.poll(() => reads).toBeGreaterThan(2)
    stop.abort()
    await kept
    expect((await readBackfills(db)).filter(({ view }) => view === plan.id)).toMatchObject([{ state: 'done' }])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('retries a failed fill of a view at once, then with growing delays', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    const tools = { db, store, worker: 'test' }
    const identity = await store.identity()
    const replaced = { code: 'STORE_MISMATCH' as const, message: 'The primary was replaced.' }
    for (let i = 0; i < 2; i++) {
      await beginBackfill(tools, plan, { now: () => moment })
      await failBackfills(db, identity, replaced)
    }
    const isWhole = async (): Promise<boolean> => ((await readCheckpoint(store, plan.id))?.frontier.below ?? 0) > 0
    await keep([plan], 1, () => moment, isWhole)
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    const [third, second] = await readBackfills(db, { view: plan.id, store: identity })
    expect([third?.state, second?.state]).toEqual(['done', 'failed'])
    const pauseMs = (third?.startedAt.getTime() ?? 0) - (second?.finishedAt?.getTime() ?? 0)
    expect(pauseMs).toBeGreaterThanOrEqual(2_000)
  })

  it('continues a stopped rebuild, even if a backfill was cancelled before it', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    await materializeView(db, store, plan, { moment })
    const { id } = await beginBackfill({ db, store, worker: 'test' }, plan, { now: () => moment })
    await endJob(db, id, 'cancelled')
    const stopping = { ...store, removeView: () => Promise.reject(new Error('stopped')) }
    await expect(materializeView(db, stopping, plan, { moment, rebuild: true })).rejects.toThrow('stopped')
    expect((await readCheckpoint(store, plan.id))?.removing).toBe(true)
    await keep(
      [plan],
      2,
      () => moment,
      async () => ((await readCheckpoint(store, plan.id))?.frontier.below ?? 0) > 0,
    )
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('runs a scheduled view at its instant and for late rows, once for all workers', async () => {
    const { db, store } = fixture().open('redis')
    const table = await createPaymentsTable(db, 'scheduled')
    const plan = paymentsPlan({ name: 'scheduled', relation: { kind: 'table', table: 'scheduled' }, availability })
    await materializeView(db, store, plan, { now: () => instant })
    const times: number[] = [instant]
    const runAt = async (now: number, workers: number): Promise<unknown> => {
      let looks = 0
      times.push(now)
      const runs = await keep(
        [plan],
        workers,
        () => now,
        async () => isDeepStrictEqual(await finished(plan), times) && looks++ > 5,
      )
      return runs.map(({ rows }) => rows)
    }
    // of those that were missed one is done
    expect(await runAt(instant + 17 * minute, 3)).toEqual([0])
    const [row] = many(1) as [Payment]
    await table.insert([row])
    expect(await runAt(instant + 20 * minute, 2)).toEqual([1])
    await table.insert([row])
    expect(await runAt(instant + 20.75 * minute, 2)).toEqual([1])
    await table.insert([row])
    expect(await runAt(instant + 22 * minute, 2)).toEqual([1])
    // nothing has come since the last instant's run
    expect(await keep([plan], 2, () => instant + 22.5 * minute, looked(20))).toEqual([])
  })

  it('serves a scheduled view from instant + delay as trained, with any waiting rows', async () => {
    const { db, store } = fixture().open('redis')
    const table = await createPaymentsTable(db, 'prompt')
    const plan = paymentsPlan({ name: 'prompt', relation: { kind: 'table', table: 'prompt' }, availability })
    const row = (account: string, paidAt: number): Payment => ({ account, paidAt, knownAt: null, amount: 1, label: 'x' })
    await table.insert([row('a', instant - 6 * minute), row('b', instant - 6 * minute)])
    await materializeView(db, store, plan, { now: () => instant - 5 * minute })
    await table.insert([row('a', instant - minute), row('a', instant), row('c', instant - 1)])
    // after the instant and before the run reads: they wait for the next one
    await table.insert(Array.from({ length: maxPendingRows + 1 }, () => row('a', instant + 1_000_000)))
    let now = instant + 1_000_000
    const began = async (at: number): Promise<boolean> => ((await readCheckpoint(store, plan.id))?.begunAt ?? 0) >= at
    await keep(
      [plan],
      1,
      // it takes long
      () => (now = Math.min(now + minute / 20, instant + minute / 2 - 1)),
      () => began(instant),
    )
    const asks = [-1, 0, minute - 1, minute, 5 * minute, 6 * minute - 1, 6 * minute, 9 * minute].map((after) => instant + after)
    for (const asOf of asks) {
      const requests = ['a', 'b', 'c'].map((account) => ({ plan, key: accountKey(plan, account) }))
      const served = (await readOnline(store, requests, asOf)).map(({ values }) => values)
      const trained = await readHistory(
        db,
        requests.map((request) => ({ ...request, asOf })),
      )
      expect({ asOf, served }).toEqual({ asOf, served: trained })
    }
  })

  it('folds a scheduled view again at once if a failover has rolled it back', async () => {
    const { db, store } = fixture().open('redis')
    await createPaymentsTable(db, 'replaced')
    const plan = paymentsPlan({ name: 'replaced', relation: { kind: 'table', table: 'replaced' }, availability })
    await materializeView(db, store, plan, { now: () => instant })
    await detectFailover(db, { ...store, primaries: () => Promise.resolve(['another']) }, { nowMs: Date.now() })
    const runs = await keep(
      [plan],
      1,
      () => instant + 2 * minute,
      async () => (await finished(plan)).length > 1,
    )
    expect(runs).toEqual([{ view: plan.id, moment: instant + 2 * minute, rows: 0 }])
    expect(await finished(plan)).toEqual([instant, instant + 2 * minute])
  })

  it('runs a view that a failover has rolled back, even without new arrivals', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(5))
    await materializeView(db, store, plan, { moment })
    const checkpoint = await readCheckpoint(store, plan.id)
    if (checkpoint === null) throw new Error('There is no checkpoint.')
    await writeCheckpoint(store, plan.id, { ...checkpoint, setBack: true }, checkpoint)
    const isWhole = async (): Promise<boolean> => (await readCheckpoint(store, plan.id))?.setBack !== true
    expect(await isWhole()).toBe(false)
    await keep([plan], 1, () => moment, isWhole)
  })

  it('continues at once when a long lock on the table of a view is released', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(5))
    await materializeView(db, store, plan, { moment })
    const [now, start] = [performance.now.bind(performance), performance.now()]
    const isWaiting = async () =>
      (await db.query(`select from pg_locks where relation = $1::regclass and not granted`, [table.name])).length > 0
    const locked = db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table ${sql.table(table.name)} in access exclusive mode`.execute(transaction)
      await expect.poll(isWaiting, { timeout: 60_000 }).toBe(true)
      vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000)
    })
    let isAdded = false
    const until = async (): Promise<boolean> => {
      if (performance.now() - start < 3_600_000) return false
      await locked
      if (!isAdded) await table.insert(many(7))
      isAdded = true
      return isDeepStrictEqual(await storedStates(store, plan, table.keys(plan)), table.expected(plan, moment))
    }
    try {
      await keep([plan], 1, () => moment, until)
    } finally {
      vi.restoreAllMocks()
      await locked
    }
  })

  it('runs a failing view once it can succeed, without new arrivals', async () => {
    const { db, store } = fixture().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert(many(5))
    await materializeView(db, store, plan, { moment })
    const failing = async () => (await readFailingViews(db, await store.identity(), [plan.id])).get(plan.id)?.runs
    await db.script(`alter table ${table.name} rename to gone`)
    for (const runs of [1, 2]) {
      await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
      expect([runs, await failing()]).toEqual([runs, undefined])
    }
    let isBack = false
    const until = async (): Promise<boolean> => {
      const runs = await failing()
      if (isBack || runs === undefined) return isBack && runs === undefined
      expect(runs).toBeGreaterThanOrEqual(3)
      await db.script(`alter table gone rename to ${table.name}`)
      isBack = true
      return false
    }
    await keep([plan], 1, () => moment, until)
  })

  it('retries a failing run, then keeps a dead letter until a run succeeds', async () => {
    const { db, store } = fixture().open('redis')
    await createPaymentsTable(db, 'failing')
    const plan = paymentsPlan({ name: 'failing', relation: { kind: 'table', table: 'failing' }, availability })
    const due = instant + minute
    await materializeView(db, store, plan, { now: () => due - 5 * minute })
    const tools = { db, store, worker: 'test', clock: () => due }
    await askForScheduledRun(tools, plan)
    await askForScheduledRun(tools, plan)
    const identity = await store.identity()
    const asked = () => readJobs(db, { kind: scheduledRunKind, subject: plan.id })
    const [run] = await asked()
    if (run === undefined) throw new Error('No run is asked for.')
    expect(await asked()).toHaveLength(1)
    const broken = scheduledRuns(
      tools,
      () => Promise.reject(new Error('no such table')),
      () => undefined,
    )
    const stop = new AbortController()
    const working = workOnJobs(db, { kinds: [broken], worker: 'test', only: run.id, signal: stop.signal, idleMs: 20 })
    const failed = async (): Promise<string> => {
      // its attempts, without the waiting
      await db.query(`UPDATE lockstep.job_chunks SET claimable_at = clock_timestamp() WHERE job = $1 AND claim IS NULL`, [run.id])
      return (await readJob(db, run.id)).state
    }
    expect(await givenUpRuns(db, identity)).toEqual([])
    await expect.poll(failed, { timeout: 60_000 }).toBe('failed')
    stop.abort()
    await working
    expect(await givenUpRuns(db, identity)).toMatchObject([{ view: plan.id, moment: due, why: 'no such table', attempts: 5 }])
    await askForScheduledRun(tools, plan)
    expect(await asked()).toHaveLength(1)
    await materializeView(db, store, plan, { now: () => due + 5 * minute })
    expect(await givenUpRuns(db, identity)).toEqual([])
  })

  it('requests a due run even if some entities were rebuilt since', async () => {
    const { db, store } = fixture().open('redis')
    const table = await createPaymentsTable(db, 'partly')
    await table.insert(many(50))
    const plan = paymentsPlan({ name: 'partly', relation: { kind: 'table', table: 'partly' }, availability })
    const due = instant + minute
    await materializeView(db, store, plan, { now: () => due - 5 * minute })
    await table.insert(many(50))
    const tools = { db, store, clock: () => due, worker: 'test' }
    const { id } = await beginBackfill(tools, plan, { events: { from: start, to: start + minute }, chunks: 1, now: () => due })
    await finish(tools, plan, id)
    expect(await readBackfill(db, id)).toMatchObject({ state: 'done' })
    await askForScheduledRun(tools, plan)
    const asked = await readJobs(db, { kind: scheduledRunKind, subject: plan.id })
    expect(asked).toMatchObject([{ state: 'running', moment: due }])
  })

  it('fails a backfill whose view was retired during it', async () => {
    const { db, store } = fixture().open('redis')
    const { plan } = await freshView(db)
    const tools = { db, store, worker: 'test' }
    const { id } = await beginBackfill(tools, plan, { chunks: 1, now: () => moment })
    const gone = new LockstepError('UNKNOWN_DEFINITION', 'There is no such view.')
    await finish(tools, plan, id, () => Promise.reject(gone))
    expect(await readBackfill(db, id)).toMatchObject({ state: 'failed', error: { code: 'UNKNOWN_DEFINITION' } })
  })

  const looked = (times: number) => () => Promise.resolve(times-- <= 0)

  /** Works on a backfill until it has ended. */
  const finish = async (tools: BackfillTools, plan: ViewPlan, id: number, find = () => Promise.resolve(plan)): Promise<void> => {
    const kinds = [backfills(tools, find, { now: () => moment })]
    await awaitJob(tools.db, id, { signal: AbortSignal.timeout(60_000), work: { kinds, worker: 'test' } })
  }

  const finished = async (plan: ViewPlan): Promise<number[]> => {
    const { db } = fixture().open('redis')
    const found = await db.query<{ moment: string }>(
      'SELECT moment FROM lockstep.materialization_runs WHERE view = $1 AND finished_at IS NOT NULL ORDER BY id',
      [plan.id],
    )
    return found.map(({ moment: at }) => Number(at))
  }
})
