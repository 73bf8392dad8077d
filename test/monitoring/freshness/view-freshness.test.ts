import { describe, expect, it } from 'vitest'
import { allBelow } from '../../../kernel/states/frontier.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import { foldTransactions } from '../../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { materializationStatus } from '../../../materializer/status.ts'
import { sourceLag } from '../../../monitoring/freshness/source-lag.ts'
import type { ViewFreshness } from '../../../monitoring/freshness/view-freshness.ts'
import { viewFreshness } from '../../../monitoring/freshness/view-freshness.ts'
import type { OnlineStore } from '../../../online/store.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { oldestWriter } from '../../../runtime/postgres/oldest-writer.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { freshView, materializerFixture, storeKinds } from '../../materializer/fixture.ts'
import type { Payment } from '../../materializer/payments.ts'

const opened = materializerFixture()
const hour = 3_600_000_000

function paidAt(time: number, account = 'a'): Payment {
  return { account, paidAt: time, knownAt: null, amount: 1, label: null }
}

function within(plan: ViewPlan, freshnessMicros: number | null): ViewPlan {
  return { ...plan, upkeep: { ...plan.upkeep, freshnessMicros } }
}

async function freshnessOf(db: Database, store: OnlineStore | null, plan: ViewPlan, now: number): Promise<ViewFreshness> {
  const runs = await materializationStatus(db, now / 1000)
  const [fresh] = await viewFreshness(db, store, [plan], runs, now)
  if (fresh === undefined) throw new Error('no answer')
  return fresh
}

describe('the freshness of a view', () => {
  it('depends on the rows that the store lacks, for any event times', async () => {
    const { db, store } = opened().open('redis')
    const { table, plan } = await freshView(db)
    const now = Date.now() * 1000
    await table.insert([paidAt(now - hour), paidAt(now - 2 * hour)])
    const never = await freshnessOf(db, store, within(plan, hour), now)
    expect(never).toMatchObject({ lastRunSeconds: null, lag: null, newestRowSeconds: 3600 })
    expect(never.late).toContain('the online store does not hold it')
    await materializeView(db, store, plan, { now: () => now - 3 * hour })
    expect(await freshnessOf(db, store, within(plan, hour), now)).toMatchObject({
      newestRowSeconds: 3600,
      lastRunSeconds: 3 * 3600,
      lag: { rows: 0, transactions: 0, seconds: 0 },
      late: null,
    })
    await table.insert([paidAt(now - 5 * hour), paidAt(now - 6 * hour)])
    await table.insert([paidAt(now - 4 * hour)])
    const behind = await freshnessOf(db, store, within(plan, hour), now)
    expect(behind.lag).toEqual({ rows: 3, transactions: 2, seconds: 3 * 3600 })
    expect(behind.late).toContain(`The view "${plan.id}" is late: it may be 1 h behind its source, and 3 rows have waited for up to 3 h.`)
    expect(behind.late).toContain(`run "lockstep materialize ${plan.id}"`)
    expect((await freshnessOf(db, store, within(plan, 4 * hour), now)).late).toBeNull()
    expect((await freshnessOf(db, store, within(plan, null), now)).late).toBeNull()
  })

  it.each(storeKinds)('excludes rows without a state in the %s store, and rows that a push has folded', async (kind) => {
    const { db, store } = opened().open(kind)
    const { table, plan } = await freshView(db)
    const now = Date.now() * 1000
    await table.insert([paidAt(now - 9 * hour, 'a'), paidAt(now - 9 * hour, 'b')])
    await materializeView(db, store, plan, { now: () => now - 3 * hour })
    const behind = async () => (await freshnessOf(db, store, within(plan, hour), now)).lag
    const push = async (...payments: Payment[]) => {
      await table.insert(payments)
      const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
      return Number(row?.xid)
    }
    await foldTransactions(db, store, [plan], [await push(paidAt(now - 2 * hour, 'a'), paidAt(now - hour, 'new'))], { moment: now })
    expect(await behind()).toEqual({ rows: 0, transactions: 0, seconds: 0 })
    const waiting = await push(paidAt(now - 2 * hour, 'a'), paidAt(now - 2 * hour, 'b'))
    await foldTransactions(db, store, [plan], [await push(paidAt(now - hour, 'b'))], { moment: now })
    await push(paidAt(now - hour, 'none'))
    expect(await behind()).toEqual({ rows: 3, transactions: 2, seconds: 2 * 3600 })
    await foldTransactions(db, store, [plan], [waiting], { moment: now })
    expect(await behind()).toEqual({ rows: 1, transactions: 1, seconds: 3600 })
  })

  it("counts from a row's visibility after an old run, so a quiet source is not late", async () => {
    const { db, store } = opened().open('embedded')
    const { table, plan } = await freshView(db)
    const now = Date.now() * 1000
    await materializeView(db, store, plan, { now: () => now - 20 * hour })
    await table.insert([paidAt(now - 10_000_000)])
    expect(await freshnessOf(db, store, within(plan, hour), now)).toMatchObject({ lag: { rows: 1, seconds: 10 }, late: null })
  })

  it('counts unreadable rows, and hides no other view if a time is unreadable', async () => {
    const { db, store } = opened().open('embedded')
    const { table, plan } = await freshView(db)
    const now = Date.now() * 1000
    await materializeView(db, store, plan, { now: () => now - hour })
    await db.script(`alter table ${table.name} alter amount type numeric`)
    await db.script(`insert into ${table.name} (account, paid_at, amount) values ('a', now(), 1), ('b', now(), '1e400')`)
    expect((await freshnessOf(db, store, plan, now)).lag).toMatchObject({ rows: 2, transactions: 1 })
    // it is not visible yet
    await db.script(`insert into ${table.name} (account, paid_at) values ('a', '294276-12-31')`)
    expect(await freshnessOf(db, store, plan, now + hour)).toMatchObject({ lag: { rows: 3 }, newestRowSeconds: expect.closeTo(3600, -2) })
    await db.script(`alter table ${table.name} alter paid_at type text`)
    await db.script(`insert into ${table.name} (account, paid_at) values ('a', 'never')`)
    expect(await freshnessOf(db, store, within(plan, hour / 2), now)).toMatchObject({
      lag: null,
      late: expect.stringContaining('ended 1 h ago'),
    })
  })

  it('uses the last run for a source without arrivals; a failing store makes it late', async () => {
    const { db, store } = opened().open('redis')
    const { table, plan } = await freshView(db, 'plain')
    const now = Date.now() * 1000
    await table.insert([paidAt(now)])
    await materializeView(db, store, plan, { now: () => now - 2 * hour })
    const fresh = await freshnessOf(db, store, within(plan, hour), now)
    expect(fresh).toMatchObject({ lag: null, newestRowSeconds: null, lastRunSeconds: 7200 })
    expect(fresh.late).toContain('its last run ended 2 h ago')
    expect((await freshnessOf(db, store, within(plan, 3 * hour), now)).late).toBeNull()
    expect((await freshnessOf(db, null, within(plan, 3 * hour), now)).late).toContain('the online store does not answer')
  })

  it('of a scheduled view is late if its due run has not come', async () => {
    const { db, store } = opened().open('embedded')
    const { plan: continuous } = await freshView(db)
    const availability = { kind: 'schedule', schedule: '0 * * * *', delayMicros: hour / 6 } as const
    const plan = { ...continuous, spec: { ...continuous.spec, availability } }
    const instant = Math.floor((Date.now() * 1000) / hour) * hour
    await materializeView(db, store, plan, { now: () => instant })
    const lateAt = async (now: number) => await freshnessOf(db, store, plan, now)
    expect(await lateAt(instant + hour + hour / 6 - 1)).toMatchObject({ scheduled: true, late: null })
    expect((await lateAt(instant + hour + hour / 6)).late).toContain('its scheduled run should count from')
  })

  it('asks two statements about a source whose table was looked at within a minute', async () => {
    const { db, store } = opened().open('redis')
    const { table, plan } = await freshView(db)
    const now = Date.now() * 1000
    await table.insert([paidAt(now - hour)])
    const statements: string[] = []
    const query: Database['query'] = async (text, ...rest) => {
      statements.push(text)
      return await db.query(text, ...rest)
    }
    const noted: Database = { ...db, query }
    const lag = async () => await sourceLag({ db: noted, store, now }, { plan, frontier: allBelow(1) })
    const first = await lag()
    expect(first).toMatchObject({ rows: 1, newestEvent: now - hour })
    const before = statements.length
    expect(await lag()).toEqual(first)
    expect(statements.slice(before).filter((text) => !text.includes('pg_current_snapshot'))).toHaveLength(2)
  })

  it('looks at the tables of many views by two statements, and hides none because of a wrong one', async () => {
    const { db, store } = opened().open('redis')
    const now = Date.now() * 1000
    const views = [await freshView(db), await freshView(db), await freshView(db)]
    for (const { table } of views) await table.insert([paidAt(now - hour)])
    const statements: string[] = []
    const query: Database['query'] = async (text, ...rest) => {
      statements.push(text)
      return await db.query(text, ...rest)
    }
    const noted: Database = { ...db, query }
    const newest = async (plans: readonly ViewPlan[]) =>
      (await viewFreshness(noted, store, plans, [], now)).map(({ newestRowSeconds }) => newestRowSeconds)
    const plans = views.map(({ plan }) => plan)
    const catalogs = () => statements.filter((text) => text.includes('to_regclass'))
    expect(await newest(plans)).toEqual([3600, 3600, 3600])
    expect(catalogs()).toHaveLength(2)
    expect(await newest(plans)).toEqual([3600, 3600, 3600])
    expect(catalogs()).toHaveLength(2)
    const [first] = plans as [ViewPlan]
    const reading = (table: string): ViewPlan => ({
      ...first,
      spec: { ...first.spec, source: { ...first.spec.source, relation: { kind: 'table', table } } },
    })
    expect(await newest([reading('no_table'), ...plans.map((plan) => ({ ...plan })), reading('a.b.c.d')])).toEqual([
      null,
      3600,
      3600,
      3600,
      null,
    ])
  })

  it('reads the tables of many views by two statements, even if one cannot be read', async () => {
    const { db, store } = opened().open('redis')
    const now = Date.now() * 1000
    const views = await Promise.all(Array.from({ length: 12 }, () => freshView(db)))
    for (const [i, { table, plan }] of views.entries()) {
      await table.insert([paidAt(now - hour)])
      await materializeView(db, store, plan, { now: () => now - 3 * hour })
      // one transaction with more rows than the newest that are read
      if (i < 2)
        await db.script(
          `insert into ${table.name} (account, paid_at) select 'z', now() - n * interval '1 minute' from generate_series(1, 1200) n`,
        )
    }
    const statements: string[] = []
    const query: Database['query'] = async (text, ...rest) => {
      if (text.includes('_xid')) statements.push(text)
      return await db.query(text, ...rest)
    }
    const noted: Database = { ...db, query }
    const plans = views.map(({ plan }) => plan)
    const read = async () => (await viewFreshness(noted, store, plans, [], now)).map(({ lag }) => lag?.rows)
    await read() // which looks at the tables
    const expected = views.map((_, i) => (i < 2 ? 1200 : 0))
    statements.length = 0
    expect(await read()).toEqual(expected)
    const own = () => statements.filter((text) => !text.includes('to_regclass(relation)'))
    expect(own()).toHaveLength(2)
    await db.script(`alter table ${views[3]?.table.name} alter paid_at type text using 'never'`)
    statements.length = 0
    expect(await read()).toEqual(expected.with(3, undefined as never))
    expect(own().length).toBeLessThan(12 + 2 * 4)
  })

  it('is unknown at once if the table loses its arrivals after it was looked at', async () => {
    const { db, store } = opened().open('redis')
    const { table, plan } = await freshView(db)
    const lag = async () => await sourceLag({ db, store, now: Date.now() * 1000 }, { plan, frontier: allBelow(1) })
    await table.insert([paidAt(Date.now() * 1000 - hour)])
    expect(await lag()).toMatchObject({ rows: 1 })
    await db.script(`alter table ${table.name} drop column _xid`)
    expect(await lag()).toBeNull()
  })

  it('reads no large table without an index on its arrivals', async () => {
    const { db, store } = opened().open('redis')
    const { table, plan } = await freshView(db)
    await table.insert([paidAt(Date.now() * 1000)])
    await materializeView(db, store, plan)
    const { name } = table
    await db.script(
      `insert into ${name} (account, paid_at, label) select 'x', now() - n * interval '1 minute', repeat('x', 1000) from generate_series(1, 40000) n`,
    )
    expect((await freshnessOf(db, store, plan, Date.now() * 1000)).lag).toBeNull()
    await db.script(`create index on ${name} (_xid)`)
    expect((await freshnessOf(db, store, plan, Date.now() * 1000)).lag).toMatchObject({ rows: 10_000, transactions: 1 })
    // a load is in no order
    expect((await freshnessOf(db, store, plan, Date.now() * 1000)).newestRowSeconds).toBeLessThan(3600)
  })
})

describe('the oldest transaction that writes', () => {
  it('is reported with its age and its owner', async () => {
    const { db } = opened().open('redis')
    expect(await oldestWriter(db)).toBeNull()
    const url = new URL(opened().databaseUrl)
    url.searchParams.set('application_name', 'a long job')
    const other = openPostgres(url.href)
    try {
      await other.kysely.transaction().execute(async (transaction) => {
        await transaction.insertInto('lockstep.code').values({ hash: 'h', body: 'b' }).execute()
        const found = await oldestWriter(db)
        expect(found).toMatchObject({ application: 'lockstep a long job', state: 'idle in transaction', database: url.pathname.slice(1) })
        expect(found?.pid).toBeGreaterThan(0)
        expect(found?.seconds).toBeLessThan(60)
      })
    } finally {
      await other.close()
    }
  })
})
