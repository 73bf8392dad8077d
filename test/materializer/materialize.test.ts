import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { readOnline } from '../../online/read.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { testDatabase } from '../services/index.ts'
import { freshView, heldSecondRun, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import { createPaymentsTable } from './payments-table.ts'
import { accountKey, payment, start, minute, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()

describe.each(storeKinds)('materializing into the %s store', (kind) => {
  it('gives the bytes of one fold over all rows, in any order and any runs', async () => {
    const { db, store } = fixture().open(kind)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(payment, { maxLength: 12 }), { maxLength: 5 }), async (arrivals) => {
        const { table, plan } = await freshView(db)
        for (const payments of arrivals) {
          await table.insert(payments)
          await materializeView(db, store, plan, { moment })
        }
        expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
      }),
      { numRuns: 12 },
    )
  })

  it('reads only new rows, and writes nothing without any', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(fc.sample(payment, 50))
    const first = await materializeView(db, store, plan, { moment })
    expect(first).toMatchObject({ mode: 'incremental', from: 0, moment })
    expect(first.rows).toBe(50)
    const second = await materializeView(db, store, plan, { moment })
    expect(second).toMatchObject({ from: first.to, rows: 0, entities: 0 })
    await table.insert(fc.sample(payment, 3))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: second.to, rows: 3 })
  })

  it('rebuilds a damaged state from all rows, on its next row or a full run', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const row = (account: string, amount: number) => ({ account, paidAt: start, knownAt: null, amount, label: null })
    await table.insert([row('a', 1), row('a', 2), row('b', 3)])
    await materializeView(db, store, plan, { moment })
    const damage = async (account: string): Promise<void> => {
      const key = { view: plan.id, entity: 'account', key: accountKey(plan, account) }
      const [bytes] = await store.read([key])
      if (!bytes) throw new Error('it was stored')
      const damaged = Buffer.from(bytes)
      damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1
      expect(await store.write([{ ...key, expected: bytes, bytes: damaged }])).toEqual([true])
    }
    await damage('a')
    await table.insert([row('a', 4)])
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 3, entities: 1 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    await damage('b')
    await materializeView(db, store, plan, { moment, rebuild: true })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('lets rows that are not visible yet wait in their state until they are', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const known = start + 100 * minute
    await table.insert([{ account: 'a', paidAt: start, knownAt: known, amount: 7, label: null }])
    await materializeView(db, store, plan, { moment: start })
    const key = accountKey(plan, 'a')
    const [before] = await readOnline(store, [{ plan, key }], known - 1)
    const [after] = await readOnline(store, [{ plan, key }], known)
    expect([before?.values?.values[0], after?.values?.values[0]]).toEqual([null, 7])
  })

  it('rebuilds a view over a table without arrivals from all rows each time', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db, 'plain')
    await table.insert(fc.sample(payment, 20))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'full', from: 0, rows: 20 })
    await table.insert(fc.sample(payment, 20))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'full', from: 0, rows: 40 })
    const fromQuery = paymentsPlan({
      name: `${plan.spec.name}_query`,
      relation: { kind: 'sql', sql: `select * from ${table.name} where amount is not null;` },
    })
    expect(await materializeView(db, store, fromQuery, { moment })).toMatchObject({ mode: 'full' })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    expect(await storedStates(store, fromQuery, table.keys(plan))).toEqual(
      table.expected(fromQuery, moment, { only: ({ amount }) => amount !== null }),
    )
  })

  it('refuses to count rows twice if their table only now has arrivals', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db, 'plain')
    await table.insert(fc.sample(payment, 20))
    await materializeView(db, store, plan, { moment })
    await db.script(
      `alter table ${table.name} add column _row bigint generated always as identity, add column _xid xid8 not null default pg_current_xact_id()`,
    )
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(await materializeView(db, store, plan, { moment, rebuild: true })).toMatchObject({ mode: 'incremental', from: 0, rows: 20 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment, { ties: 'owned' }))
    // Without them again, all is renewed.
    await db.script(`alter table ${table.name} drop column _row, drop column _xid`)
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'full', rows: 20 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('restarts when the store was emptied', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(fc.sample(payment, 30))
    await materializeView(db, store, plan, { moment })
    await store.removeView(plan.id)
    await table.insert(fc.sample(payment, 1))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: 0, rows: 31 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('leaves no state that lacks rows when the store is emptied during a run', async () => {
    const { db, store } = fixture().open(kind)
    const gated = await heldSecondRun(db, store)
    const { table, plan } = gated
    await store.removeView(plan.id)
    gated.open()
    await expect(gated.run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('refuses states of another definition or database, and replaces them on request', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(fc.sample(payment, 20))
    await materializeView(db, store, plan, { moment })
    const changed: ViewPlan = { ...plan, fingerprint: 'changed' }
    await expect(materializeView(db, store, changed, { moment })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining(`"${plan.id}"`),
    })

    const elsewhere = await testDatabase()
    const otherDb = openPostgres(elsewhere.url)
    const other = await createPaymentsTable(otherDb, table.name)
    await other.insert(fc.sample(payment, 10))
    await expect(materializeView(otherDb, store, plan, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    expect(await materializeView(otherDb, store, plan, { moment, rebuild: true })).toMatchObject({ from: 0, rows: 10 })
    expect(await storedStates(store, plan, [...table.keys(plan), ...other.keys(plan)])).toEqual(other.expected(plan, moment))
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await otherDb.close()
    await elsewhere.drop()
  })

  it('records its runs, and reports the last one of each view with its age', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(fc.sample(payment, 20))
    let clock = 1_700_000_000_000_000
    const now = (): number => (clock += 1_000_000)
    await materializeView(db, store, plan, { now })
    const last = await materializeView(db, store, plan, { now })
    const status = (await materializationStatus(db, clock / 1000 + 5_000)).find((each) => each.view === plan.id)
    expect(status).toMatchObject({
      fingerprint: plan.fingerprint,
      store: await store.identity(),
      rows: 0,
      entities: 0,
      moment: last.moment,
      frontier: last.to,
      ageMs: 5_000,
    })
    expect(status?.finishedAt.getTime()).toBe(clock / 1000)
  })

  it('stops on request, and continues from there', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(5_000))
    const controller = new AbortController()
    const run = materializeView(db, store, plan, {
      moment,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(run).rejects.toThrow('enough')
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('sets aside entities whose rows make a transform throw, until it succeeds', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const failing = paymentsPlan({ name: plan.spec.name, relation: plan.spec.source.relation, code: '() => { throw new Error("boom") }' })
    await table.insert(fc.sample(payment, 10))
    const { entities, setAside } = await materializeView(db, store, failing, { moment })
    expect([entities, setAside.entities]).toEqual([0, new Set(table.keys(plan)).size])
    expect(setAside.errors[0]).toMatchObject({
      code: 'TRANSFORM_FAILED',
      message: expect.stringMatching(/^The entity "account" = .* is set aside.* boom\. .* The row is one of "\w+" = /),
    })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 10, setAside: { entities: 0 } })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})
