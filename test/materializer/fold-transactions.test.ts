import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { covers, maxRanges } from '../../kernel/states/frontier.ts'
import { readHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { firstCheckpoint, checkpointKey, readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { freshView, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import type { PaymentsTable } from './payments-table.ts'
import type { Payment } from './payments.ts'
import { accountKey, minute, payment, start, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()

describe.each(storeKinds)('folding single transactions into the %s store', (kind) => {
  it('gives the bytes of one fold over all rows, after any mix of pushes and runs', async () => {
    const { db, store } = fixture().open(kind)
    const step = fc.record({
      payments: fc.array(payment, { minLength: 1, maxLength: 4 }),
      next: fc.constantFrom('fold', 'fold', 'again', 'run', 'nothing'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const { table, plan } = await freshView(db)
        await materializeView(db, store, plan, { moment })
        const xids: number[] = []
        for (const { payments, next } of steps) {
          xids.push(await push(db, table, payments))
          if (next === 'fold') await foldTransactions(db, store, [plan], [xids.at(-1) ?? 0], { moment })
          if (next === 'again') await foldTransactions(db, store, [plan], xids.slice(-3), { moment })
          if (next === 'run') await materializeView(db, store, plan, { moment })
        }
        await foldTransactions(db, store, [plan], xids, { moment })
        expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
        expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0 })
        expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
      }),
      { numRuns: 8 },
    )
  })

  it('is online at once, one time, beside an open transaction', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    await materializeView(db, store, plan, { moment })
    const open = await client()
    await open.query('begin')
    await open.query('select pg_current_xact_id()')
    const xid = await push(db, table, [one('account 7', 1_000, 77)])
    expect(await foldTransactions(db, store, [plan], [xid], { moment })).toEqual({ rows: 1, entities: 1, left: [] })
    const [answer] = await readOnline(store, [{ plan, key: accountKey(plan, 'account 7') }], moment)
    expect(answer?.values?.values[0]).toBe(77)
    expect(answer?.frontier && covers(answer.frontier, xid)).toBe(true)
    expect(await foldTransactions(db, store, [plan], [xid], { moment })).toEqual({ rows: 0, entities: 0, left: [] })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 0 })
    await open.query('commit')
    await open.end()
  })

  it('reads an entity that the store lacks from its first row on', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await materializeView(db, store, plan, { moment })
    await table.insert([one('new', 1, 1), one('other', 1, 1)])
    const xid = await push(db, table, [one('new', 2, 2)])
    expect(await foldTransactions(db, store, [plan], [xid], { moment })).toMatchObject({ rows: 2, entities: 1 })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 1, entities: 1 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('reads rows once for all views of a source, and skips views it cannot fold', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const relation = { kind: 'table', table: table.name } as const
    const named = (name: string, options = {}): ViewPlan => paymentsPlan({ name: `${table.name}_${name}`, relation, ...options })
    const [world, absent, elsewhere] = [named('world', { world: true }), named('absent'), named('elsewhere')]
    const scheduled = named('scheduled', { availability: { kind: 'schedule', schedule: '*/30 * * * *', delayMicros: minute } })
    const removing = named('removing')
    const changed = named('changed')
    const unreadable = named('unreadable')
    await table.insert(many(10))
    for (const each of [plan, world, scheduled, removing, changed]) await materializeView(db, store, each, { moment })
    const facts = { incremental: true, origin: { id: '7', startedAt: new Date(0) }, removing: false }
    await writeCheckpoint(store, elsewhere.id, firstCheckpoint({ ...facts, fingerprint: elsewhere.fingerprint }), null)
    const present = await readCheckpoint(store, removing.id)
    if (present !== null) await writeCheckpoint(store, removing.id, firstCheckpoint({ ...present, removing: true }), present)
    await store.write([{ ...checkpointKey(unreadable.id), expected: null, bytes: Buffer.from('of another') }])
    const xid = await push(db, table, [one('account 0', 500, 1), one('fresh', 500, 2)])
    const plans = [plan, world, absent, elsewhere, scheduled, removing, unreadable, { ...changed, fingerprint: 'another' }]
    const folded = await foldTransactions(db, store, plans, [xid], { moment })
    expect(folded).toEqual({ rows: 4, entities: 3, left: [absent.id, elsewhere.id, removing.id, unreadable.id, changed.id] })
    for (const each of [plan, world]) expect(await materializeView(db, store, each, { moment })).toMatchObject({ rows: 0 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('reads a column whose type has changed since an earlier fold', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await materializeView(db, store, plan, { moment })
    const fold = async (at: number) => {
      const xid = await push(db, table, [one('account 7', at, at + 0.5)])
      expect(await foldTransactions(db, store, [plan], [xid], { moment })).toEqual({ rows: 1, entities: 1, left: [] })
    }
    await fold(1)
    const changes = ['amount type numeric', 'amount type real', 'paid_at type timestamp', 'label type varchar', 'amount type float8']
    for (const [i, change] of changes.entries()) {
      await db.script(`alter table ${table.name} alter column ${change}`)
      await fold(i + 2)
      expect([change, await storedStates(store, plan, table.keys(plan))]).toEqual([change, table.expected(plan, moment)])
    }
  })

  it('folds nothing of an uncommitted transaction', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert([one('a', 1, 1)])
    await materializeView(db, store, plan, { moment })
    const late = await client()
    await late.query('begin')
    const { rows } = await late.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    await late.query(table.insertSql([one('a', 2, 2)]))
    const xid = Number(rows[0]?.xid)
    const done = await push(db, table, [one('a', 3, 3)])
    expect(await foldTransactions(db, store, [plan], [xid, done], { moment })).toMatchObject({ rows: 1, entities: 1 })
    await late.query('commit')
    await late.end()
    expect(await foldTransactions(db, store, [plan], [xid], { moment })).toMatchObject({ rows: 1, entities: 1 })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0 })
  })

  it('keeps the frontier of an entity short after many transactions of others', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert([one('busy', 0, 0)])
    await materializeView(db, store, plan, { moment })
    const key = accountKey(plan, 'busy')
    const rangesOf = async () => (await frontierStored(store, plan, key))?.beyond.length
    // Another's transaction lies between each two of these, so that no two touch.
    const pushes = async (times: number): Promise<number[]> => {
      const [last] = await db.query<{ row: string }>(`select max(_row)::text as row from ${table.name}`)
      const pusher = await client()
      await pusher.query(`do $$ begin for i in 1..${times} loop
        insert into ${table.name} (account, paid_at, amount) values ('busy', now(), i); commit; perform pg_current_xact_id(); commit; end loop; end $$`)
      await pusher.end()
      const rows = await db.query<{ xid: string }>(`select _xid::text as xid from ${table.name} where _row > ${last?.row}`)
      return rows.map(({ xid }) => Number(xid))
    }
    expect(await foldTransactions(db, store, [plan], await pushes(maxRanges), { moment })).toMatchObject({ rows: maxRanges })
    expect(await rangesOf()).toBe(maxRanges)
    const [first = 0, second = 0] = await pushes(2)
    expect(await foldTransactions(db, store, [plan], [first], { moment })).toMatchObject({ rows: 2, entities: 1 })
    expect(await rangesOf()).toBe(0)
    expect(await foldTransactions(db, store, [plan], [second], { moment })).toMatchObject({ rows: 0 })
    // One that is met again with nothing new is written shorter, and then no more.
    await foldTransactions(db, store, [plan], await pushes(20), { moment })
    expect(await rangesOf()).toBeGreaterThan(16)
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 1 })
    expect(await rangesOf()).toBeLessThan(2)
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 0 })
    const fresh = paymentsPlan({ name: `${table.name}_fresh`, relation: plan.spec.source.relation })
    await materializeView(db, store, fresh, { moment })
    expect(await storedStates(store, plan, [key])).toEqual(await storedStates(store, fresh, [key]))
  })

  it('counts each row once, with four writers and runs during an open transaction', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const world = paymentsPlan({ name: `${table.name}_world`, relation: { kind: 'table', table: table.name }, world: true })
    const plans = [plan, world]
    for (const each of plans) await materializeView(db, store, each, { moment })
    const open = await client()
    await open.query('begin')
    await open.query('select pg_current_xact_id()')
    let pushing = 4
    const writers = Array.from({ length: 4 }, async (_, w) => {
      const mine = await client()
      for (let i = 0; i < 25; i++) {
        const payments = [one(`account ${(i + w) % 5}`, i, i + w / 8), one(`of ${w}`, i, 1)]
        const { rows } = await mine.query<{ xid: string }>(pushSql(table, payments))
        const { left } = await foldTransactions(db, store, plans, [Number(rows[0]?.xid)], { moment })
        expect(left).toEqual([])
      }
      await mine.end()
      pushing--
    })
    const runs = (async () => {
      while (pushing > 0) {
        await Promise.all([...plans, world].map((each) => materializeView(db, store, each, { moment })))
        await setTimeout(10)
      }
    })()
    await Promise.all([...writers, runs])
    await open.query('commit')
    await open.end()
    const keys = [0, 1, 2, 3, 4].flatMap((i) => [accountKey(plan, `account ${i}`), accountKey(plan, `of ${i}`)])
    const stored = [await storedStates(store, plan, keys), await storedStates(store, world, [''])]
    const fresh = [paymentsPlan({ name: `${table.name}_fresh`, relation: plan.spec.source.relation })]
    fresh.push(paymentsPlan({ name: `${table.name}_world2`, relation: plan.spec.source.relation, world: true }))
    for (const each of fresh) await materializeView(db, store, each, { moment })
    const [freshPlan = plan, freshWorld = world] = fresh
    expect(stored).toEqual([await storedStates(store, freshPlan, keys), await storedStates(store, freshWorld, [''])])
    for (const each of plans) expect(await materializeView(db, store, each, { moment })).toMatchObject({ rows: 0 })
  })
})

function one(account: string, minutes: number, amount: number): Payment {
  return { account, paidAt: start + minutes * minute, knownAt: null, amount, label: null }
}

/** Inserts in one transaction, whose number it answers. */
function pushSql(table: PaymentsTable, payments: readonly Payment[]): string {
  return `with pushed as (${table.insertSql(payments)} returning _xid) select max(_xid)::text as xid from pushed`
}

async function push(db: Database, table: PaymentsTable, payments: readonly Payment[]): Promise<number> {
  await table.insert(payments)
  const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
  return Number(row?.xid)
}

async function frontierStored(store: OnlineStore, plan: ViewPlan, key: EntityKey) {
  const [bytes] = await store.read([{ view: plan.id, entity: plan.spec.entity.name, key }])
  return bytes ? readHeader(bytes, plan.id).frontier : null
}

async function client(): Promise<Client> {
  const made = new Client({ connectionString: fixture().databaseUrl })
  await made.connect()
  return made
}
