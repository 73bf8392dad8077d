import { setTimeout } from 'node:timers/promises'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { allBelow, includes } from '../../kernel/states/frontier.ts'
import { stateHead, readHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { freshView, heldSecondRun, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import { accountKey, start, storedStates } from './payments.ts'

const fixture = materializerFixture()

describe.each(storeKinds)('how far runs move a view on in the %s store', (kind) => {
  it('is recorded in touching intervals without overlap, beside open transactions', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    let inserting = true
    let committed = 0
    const others = (async () => {
      while (inserting) {
        const other = new Client({ connectionString: fixture().databaseUrl })
        await other.connect()
        await other.query('begin')
        await other.query(table.insertSql(many(2)))
        await setTimeout(25)
        await other.query('commit')
        committed++
        await other.end()
      }
    })()
    for (let round = 0; round < 6; round++) {
      await db.query(table.insertSql(many(20)))
      await Promise.all(Array.from({ length: 1 + (round % 4) }, () => materializeView(db, store, plan, { moment })))
      // the one that was open is, so that the next round has something to move past
      const before = committed
      while (committed === before) await setTimeout(5)
    }
    inserting = false
    await others
    const last = await materializeView(db, store, plan, { moment })
    const intervals = await recorded(db, plan)
    expect(intervals[0]?.from).toBe(0)
    for (const [i, { from, to }] of intervals.entries()) {
      if (i > 0) expect(from).toBe(intervals[i - 1]?.to)
      expect(to).toBeGreaterThanOrEqual(from)
    }
    expect(intervals.filter(({ from, to }) => to > from).length).toBeGreaterThanOrEqual(6)
    expect(intervals.at(-1)?.to).toBe(last.to)
    expect((await readCheckpoint(store, plan.id))?.frontier.below).toBe(last.to)
    // each row in one
    const rows = await db.query<{ xid: string }>(`select _xid::text as xid from ${table.name}`)
    for (const { xid } of rows) expect(intervals.filter(({ from, to }) => from <= Number(xid) && Number(xid) < to).length).toBe(1)
  })

  it('is in the next interval if a run was killed before it was recorded', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const runs = []
    for (let i = 0; i < 2; i++) {
      await table.insert(many(10))
      runs.push(await materializeView(db, store, plan, { moment }))
    }
    await db.query(
      `update lockstep.materialization_runs set finished_at = null, from_xid = 0, to_xid = 0 where view = $1 and to_xid = $2`,
      [plan.id, runs[1]?.to],
    )
    await table.insert(many(10))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: runs[0]?.to, rows: 10 })
  })

  it('restarts from transaction 0 when the view is rebuilt', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(10))
    await materializeView(db, store, plan, { moment })
    expect(await materializeView(db, store, plan, { moment, rebuild: true })).toMatchObject({ from: 0, rows: 10 })
  })
})

describe.each(storeKinds)('a checkpoint that is rolled back in the %s store', (kind) => {
  it('repairs rolled-back states, even if rows were folded into them first', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const payments = (amount: number) => ['a', 'b'].map((account) => ({ account, paidAt: start, knownAt: null, amount, label: null }))
    await table.insert(payments(1))
    await materializeView(db, store, plan, { moment })
    const checkpoint = await checkpointOf(store, plan)
    const [before] = await store.read([online(plan, 'a')])
    await table.insert(payments(2))
    await materializeView(db, store, plan, { moment })
    // The store loses the last write of one state, as a failover does; nobody has seen it yet.
    const [after] = await store.read([online(plan, 'a')])
    if (!before || !after) throw new Error('There is no state.')
    expect(await store.write([{ ...online(plan, 'a'), expected: stateHead(after, readHeader(after, '')), bytes: before }])).toEqual([true])
    await table.insert(payments(3))
    const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
    await foldTransactions(db, store, [plan], [Number(row?.xid)], { moment })
    await table.insert(payments(4))
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).not.toEqual(table.expected(plan, moment))

    await setBack(store, plan, checkpoint)
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 1, entities: 1 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('is not advanced by a run that started before', async () => {
    const { db, store } = fixture().open(kind)
    const first = await freshView(db)
    await materializeView(db, store, first.plan, { moment })
    const { plan, table, run, open } = await heldSecondRun(db, store)
    const checkpoint = await checkpointOf(store, plan)
    const back = await setBack(store, plan, { ...checkpoint, frontier: allBelow(checkpoint.frontier.below - 5) })
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    const present = await checkpointOf(store, plan)
    expect(present.frontier).toEqual(back.frontier)
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0 })
    expect(includes((await checkpointOf(store, plan)).frontier, checkpoint.frontier)).toBe(true)
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})

async function setBack(store: OnlineStore, plan: ViewPlan, to: Checkpoint): Promise<Checkpoint> {
  expect(await writeCheckpoint(store, plan.id, to, await checkpointOf(store, plan))).toBe(true)
  return to
}

async function checkpointOf(store: OnlineStore, plan: ViewPlan): Promise<Checkpoint> {
  const checkpoint = await readCheckpoint(store, plan.id)
  if (checkpoint === null) throw new Error('There is no checkpoint.')
  return checkpoint
}

function online(plan: ViewPlan, account: string) {
  return { view: plan.id, entity: plan.spec.entity.name, key: accountKey(plan, account) }
}

async function recorded(db: Database, plan: ViewPlan): Promise<{ from: number; to: number }[]> {
  const rows = await db.query<{ from: string; to: string }>(
    `select from_xid::text as from, to_xid::text as to from lockstep.materialization_runs
      where view = $1 and finished_at is not null order by from_xid, to_xid`,
    [plan.id],
  )
  return rows.map(({ from, to }) => ({ from: Number(from), to: Number(to) }))
}
