import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { materializeView } from '../../materializer/materialize.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { readOnline } from '../../online/read.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { createPaymentsTable, type PaymentsTable } from './payments-table.ts'
import { accountKey, minute, payment, start, storedStates, type Payment } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const moment = start + 2_000 * minute
const kinds = ['redis', 'embedded'] as const

let database: Awaited<ReturnType<typeof testDatabase>>
let db: Database
let directory: string
let redis: { readonly url: string; readonly prefix: string }
const stores = new Map<string, OnlineStore>()
const addresses = new Map<string, readonly string[]>()
let names = 0

beforeAll(async () => {
  database = await testDatabase()
  db = openPostgres(database.url)
  directory = await mkdtemp(join(tmpdir(), 'lockstep-materialize-'))
  redis = await testRedis()
  stores.set('embedded', openEmbeddedStore(directory))
  stores.set('redis', createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix }))
  addresses.set('embedded', ['embedded', directory])
  addresses.set('redis', ['redis', redis.url, redis.prefix])
})
afterAll(async () => {
  for (const store of stores.values()) await store.close()
  await db.close()
  await rm(directory, { recursive: true })
  await database.drop()
})

describe.each(kinds)('materializing into the %s store', (kind) => {
  it('gives the bytes of one fold over all rows, in whatever order and runs they arrive', async () => {
    const store = storeOf(kind)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(payment, { maxLength: 12 }), { maxLength: 5 }), async (arrivals) => {
        const { table, plan } = await freshView()
        for (const payments of arrivals) {
          await table.insert(payments)
          await materializeView(db, store, plan, { moment })
        }
        expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
      }),
      { numRuns: 12 },
    )
  }, 20_000)

  it('reads only what is new, and writes nothing where nothing is', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(sample(50))
    const first = await materializeView(db, store, plan, { moment })
    expect(first).toMatchObject({ mode: 'incremental', from: 0, moment })
    expect(first.rows).toBe(50)
    const second = await materializeView(db, store, plan, { moment })
    expect(second).toMatchObject({ from: first.to, rows: 0, entities: 0 })
    await table.insert(sample(3))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: second.to, rows: 3 })
  })

  it('lets rows that are not visible yet wait in their state until they are', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    const known = start + 100 * minute
    await table.insert([{ account: 'a', paidAt: start, knownAt: known, amount: 7, label: null }])
    await materializeView(db, store, plan, { moment: start })
    const key = accountKey(plan, 'a')
    const [before] = await readOnline(store, [{ plan, key }], known - 1)
    const [after] = await readOnline(store, [{ plan, key }], known)
    expect([before?.values?.values[0], after?.values?.values[0]]).toEqual([null, 7])
  })

  it('counts each row once when several processes run at once while rows arrive', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(3_000))
    const runs = [1, 2].map(() => runElsewhere(kind, table, plan))
    for (let i = 0; i < 5; i++) {
      await table.insert(many(200))
      await Promise.all([materializeView(db, store, plan, { moment }), materializeView(db, store, plan, { moment })])
    }
    for (const run of runs) expect((await run.result)?.rows).toBeGreaterThanOrEqual(0)
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  }, 60_000)

  it('gives the same bytes when runs are killed at any point and run again', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(20_000))
    let interrupted = 0
    for (const batches of [1, 6, 14]) {
      const run = runElsewhere(kind, table, plan, batches)
      if ((await run.result) === null) interrupted++
      await table.insert(many(50 + batches))
    }
    expect(interrupted).toBeGreaterThan(0)
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  }, 60_000)

  it('folds the missing rows into what another run stored first', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(1_500))
    // Both runs have read the store empty and frozen the database, the one before these rows came and the other after.
    const older = gatedStore(store)
    const olderRun = materializeView(db, older.store, plan, { moment })
    await older.reached
    await table.insert(many(1_700))
    const newer = gatedStore(store)
    const newerRun = materializeView(db, newer.store, plan, { moment })
    await newer.reached
    older.open()
    const first = await olderRun
    newer.open()
    const second = await newerRun
    expect(first.to).toBeLessThan(second.to)
    // The newer run had folded all; what counts is what it stored on top of the other.
    expect([first.rows, second.rows]).toEqual([1_500, 1_700])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('leaves alone what a newer run stored first', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(1_500))
    const older = gatedStore(store)
    const olderRun = materializeView(db, older.store, plan, { moment })
    await older.reached
    await table.insert(many(100))
    const newer = await materializeView(db, store, plan, { moment })
    older.open()
    expect([newer.rows, (await olderRun).rows]).toEqual([1_600, 0])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: newer.to, rows: 0 })
  })

  it('takes up once what a long transaction commits late', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    const late = new Client({ connectionString: database.url })
    await late.connect()
    await late.query('begin')
    const slow = sample(5)
    await late.query(table.insertSql(slow))
    const quick = sample(5)
    await db.query(table.insertSql(quick))
    const during = await materializeView(db, store, plan, { moment })
    await late.query('commit')
    await late.end()
    const after = await materializeView(db, store, plan, { moment })
    const again = await materializeView(db, store, plan, { moment })
    expect([during.rows + after.rows, again.rows]).toEqual([10, 0])
    const same = await freshView()
    await same.table.insert([...slow, ...quick])
    expect(await storedStates(store, plan, same.table.keys(plan))).toEqual(same.table.expected(plan, moment))
  })

  it('rebuilds a view over a table that tells no arrivals, each time from all rows', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView('plain')
    await table.insert(sample(20))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'full', from: 0, rows: 20 })
    await table.insert(sample(20))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'full', from: 0, rows: 40 })
    const fromQuery = paymentsPlan({ name: `payments${names++}`, relation: { kind: 'sql', sql: `select * from ${table.name} where amount is not null;` } })
    expect(await materializeView(db, store, fromQuery, { moment })).toMatchObject({ mode: 'full' })
    const [a, b] = [await storedStates(store, plan, table.keys(plan)), await storedStates(store, fromQuery, table.keys(plan))]
    expect(a.size).toBeGreaterThan(0)
    expect(b.size).toBeGreaterThan(0)
  })

  it('begins again when the store was emptied', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(sample(30))
    await materializeView(db, store, plan, { moment })
    await store.removeView(plan.id)
    await table.insert(sample(1))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: 0, rows: 31 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('leaves no state that lacks rows when the store is emptied during a run', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(500))
    await materializeView(db, store, plan, { moment })
    await table.insert(many(500))
    let emptied: Promise<unknown> | null = null
    const run = materializeView(db, store, plan, { moment, onProgress: () => (emptied ??= store.removeView(plan.id)) })
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await emptied
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('refuses what another definition or another database put there, and replaces it where that is asked for', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(sample(20))
    await materializeView(db, store, plan, { moment })
    const changed: ViewPlan = { ...plan, fingerprint: 'changed' }
    await expect(materializeView(db, store, changed, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH', message: expect.stringContaining(`"${plan.id}"`) })

    const elsewhere = await testDatabase()
    const otherDb = openPostgres(elsewhere.url)
    const other = await createPaymentsTable(otherDb, table.name)
    await other.insert(sample(10))
    await expect(materializeView(otherDb, store, plan, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    expect(await materializeView(otherDb, store, plan, { moment, rebuild: true })).toMatchObject({ from: 0, rows: 10 })
    expect(await storedStates(store, plan, [...table.keys(plan), ...other.keys(plan)])).toEqual(other.expected(plan, moment))
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await otherDb.close()
    await elsewhere.drop()
  })

  it('records its runs, and tells the last one of each view with its age', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(sample(20))
    let clock = 1_700_000_000_000_000
    const now = (): number => (clock += 1_000_000)
    await materializeView(db, store, plan, { now })
    const last = await materializeView(db, store, plan, { now })
    const status = (await materializationStatus(db, clock / 1000 + 5_000)).find((each) => each.view === plan.id)
    expect(status).toMatchObject({ fingerprint: plan.fingerprint, store: await store.identity(), rows: 0, entities: 0, moment: last.moment, frontier: last.to, ageMs: 5_000 })
    expect(status?.finishedAt.getTime()).toBe(clock / 1000)
  })

  it('stops where it is told to, and goes on from there', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    await table.insert(many(5_000))
    const controller = new AbortController()
    const run = materializeView(db, store, plan, { moment, signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) })
    await expect(run).rejects.toThrow('enough')
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('fails as a whole when a transform throws, without moving on', async () => {
    const store = storeOf(kind)
    const { table, plan } = await freshView()
    const failing = paymentsPlan({ name: plan.spec.name, relation: plan.spec.source.relation, code: '() => { throw new Error("boom") }' })
    await table.insert(sample(10))
    await expect(materializeView(db, store, failing, { moment })).rejects.toMatchObject({ code: 'TRANSFORM_FAILED' })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: 0, rows: 10 })
  })
})

function storeOf(kind: string): OnlineStore {
  const store = stores.get(kind)
  if (store === undefined) throw new Error(`There is no ${kind} store.`)
  return store
}

async function freshView(kind: 'owned' | 'plain' = 'owned'): Promise<{ table: PaymentsTable; plan: ViewPlan }> {
  const name = `payments${names++}`
  return { table: await createPaymentsTable(db, name, kind), plan: paymentsPlan({ name, relation: { kind: 'table', table: name } }) }
}

function sample(rows: number): Payment[] {
  return fc.sample(payment, rows)
}

/** Rows over many accounts, so that a run takes many writes. */
function many(rows: number): Payment[] {
  return Array.from({ length: rows }, (_, i) => ({ account: `account ${(i * 7919) % 2_003}`, paidAt: start + (i % 97) * minute, knownAt: null, amount: i / 8, label: i % 3 === 0 ? null : 'x' }))
}

/** The store, with a gate before the first write of states. */
function gatedStore(store: OnlineStore): { store: OnlineStore; reached: Promise<void>; open(): void } {
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return {
    store: {
      ...store,
      async write(entries) {
        if (entries.some((entry) => entry.entity === 'account')) {
          reached.resolve()
          await gate.promise
        }
        return store.write(entries)
      },
    },
    reached: reached.promise,
    open: gate.resolve,
  }
}

/** A run in a process of its own, killed after so many batches; its result is null where the kill came in time. */
function runElsewhere(kind: string, table: PaymentsTable, plan: ViewPlan, killAfter = Number.POSITIVE_INFINITY) {
  const child = fork(new URL('materialize-process.ts', import.meta.url), [database.url, table.name, plan.spec.name, String(moment), ...(addresses.get(kind) ?? [])], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let errors = ''
  child.stderr?.on('data', (chunk) => (errors += String(chunk)))
  let outcome: { rows: number } | null = null
  let batches = 0
  child.on('message', (message) => {
    if (message !== 'progress') outcome = message as { rows: number }
    else if (++batches === killAfter) child.kill('SIGKILL')
  })
  const result = new Promise<{ rows: number } | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => (code === 0 || signal === 'SIGKILL' ? resolve(outcome) : reject(new Error(`The materializing process ended with ${code}: ${errors}`))))
  })
  return { result }
}
