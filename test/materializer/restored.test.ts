import { describe, expect, it } from 'vitest'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { union } from '../../kernel/states/frontier.ts'
import { stateHead, readHeader, underFrontier } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { rebuildStates } from '../../materializer/erase/rebuild-states.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { rebuildRange } from '../../materializer/backfills/rebuild-range.ts'
import { createWitnessKeeper, witnessFolds } from '../../materializer/witness-folds.ts'
import { hasArrived } from '../../offline/rows/read-arrived.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { freshView, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import { createPaymentsTable } from './payments-table.ts'
import { accountKey, storedStates } from './payments.ts'

const fixture = materializerFixture()

/** Transactions that a database wrote which then was set back to a backup. */
const gone: Frontier = { below: 0, beyond: [{ from: 900_000_000, to: 900_000_010 }] }
const account = many(1)[0]?.account ?? ''

async function checkpointOf(store: OnlineStore, plan: ViewPlan): Promise<Checkpoint> {
  const checkpoint = await readCheckpoint(store, plan.id)
  if (checkpoint === null) throw new Error('There is no checkpoint.')
  return checkpoint
}

/** The state of `account` as a push before the restore has left it. */
async function setAhead(store: OnlineStore, plan: ViewPlan): Promise<void> {
  const key = { view: plan.id, entity: plan.spec.entity.name, key: accountKey(plan, account) }
  const [bytes] = await store.read([key])
  if (!bytes) throw new Error('There is no state.')
  const header = readHeader(bytes, '')
  const ahead = underFrontier(bytes, header, union(header.frontier, gone))
  expect(await store.write([{ ...key, expected: stateHead(bytes, header), bytes: ahead }])).toEqual([true])
}

const refusal = {
  code: 'STORE_MISMATCH',
  message: expect.stringMatching(
    /up to transaction 900000010, but this database has only reached \d+ \(it was restored or moved\).*, or run "lockstep materialize \S+ --rebuild"/,
  ),
}

/** The refusal of a view that was found to be ahead of the database, however far the database has come since. */
const disowned = { code: 'STORE_MISMATCH', message: expect.stringContaining('it was restored from a backup') as string }

/** Sets the numbers of all witnesses back, as a restore does. */
async function setBack(db: Database, to: number): Promise<void> {
  await db.query('update lockstep.store_witnesses set number = $1 where number > $1', [to])
}

describe.each(storeKinds)('a restored database, beside newer data in the %s store', (kind) => {
  it('is noticed by the witness, and still after the process has given further ones', async () => {
    const { db, store } = fixture().open(kind)
    const [{ table, plan }, { table: otherTable, plan: other }] = [await freshView(db), await freshView(db)]
    await table.insert(many(3))
    await otherTable.insert(many(3))
    await materializeView(db, store, other, { moment })
    const kept = (await checkpointOf(store, other)).witness?.number ?? 0
    await materializeView(db, store, plan, { moment })
    await setBack(db, kept)
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(disowned)
    // the other view still has a witness from before the backup: its next ones must not make the lost one known
    for (let i = 0; i < 3; i++) await materializeView(db, store, other, { moment })
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(disowned)
    const owner = createCheckpointOwner(() => db)
    const views = [plan, other]
    expect((await findIncompleteViews({ ...store, owner }, views)).map(({ view, code }) => [view, code])).toEqual([[plan.id, 'NOT_READY']])
    await table.insert(many(1))
    const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
    await witnessFolds(db, store, [plan.id, other.id])
    expect(await foldTransactions(db, store, [plan], [Number(row?.xid)], { moment })).toMatchObject({ rows: 0, left: [plan.id] })
    await materializeView(db, store, plan, { moment, rebuild: true })
    expect(await findIncompleteViews({ ...store, owner }, views)).toEqual([])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('is noticed if it lacks the witness of a push alone', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(3))
    await materializeView(db, store, plan, { moment })
    const { witness } = await checkpointOf(store, plan)
    const keeper = createWitnessKeeper({ database: () => db, store: () => store })
    keeper.note([plan.id])
    await keeper.close()
    expect((await checkpointOf(store, plan)).witness).toEqual({ ...witness, number: (witness?.number ?? 0) + 1 })
    await setBack(db, witness?.number ?? 0)
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(disowned)
  })

  it('stays noticed if only the frontier of the checkpoint shows it, after a check of a server', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(3))
    await materializeView(db, store, plan, { moment })
    const before = await checkpointOf(store, plan)
    const ahead = { ...before, frontier: union(before.frontier, gone) }
    expect(await writeCheckpoint(store, plan.id, ahead, before)).toBe(true)
    const owner = createCheckpointOwner(() => db)
    const incomplete = async () => (await findIncompleteViews({ ...store, owner }, [plan])).map(({ code }) => code)
    expect(await incomplete()).toEqual(['NOT_READY'])
    // as if the database had overtaken the frontier meanwhile
    const marked = await checkpointOf(store, plan)
    expect(await writeCheckpoint(store, plan.id, { ...marked, frontier: before.frontier }, marked)).toBe(true)
    expect(await incomplete()).toEqual(['NOT_READY'])
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(disowned)
  })

  it('is not suspected if the store of an earlier build has no witness: the next run gives it one', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(3))
    await materializeView(db, store, plan, { moment })
    const { witness, ...earlier } = await checkpointOf(store, plan)
    expect(await writeCheckpoint(store, plan.id, earlier, earlier)).toBe(true)
    expect((await checkpointOf(store, plan)).witness).toBeUndefined()
    expect(await findIncompleteViews({ ...store, owner: createCheckpointOwner(() => db) }, [plan])).toEqual([])
    await materializeView(db, store, plan, { moment })
    expect((await checkpointOf(store, plan)).witness?.writer).toBe(witness?.writer)
  })

  it('is noticed by every writer that meets a newer state, until a rebuild repairs it', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    await setAhead(store, plan)
    const checkpoint = await checkpointOf(store, plan)
    const range = { from: null, to: null }
    await expect(rebuildRange(db, store, plan, { checkpoint, range, events: null, moment })).rejects.toMatchObject(refusal)
    await expect(rebuildStates(db, store, plan, [accountKey(plan, account)], moment)).rejects.toMatchObject(refusal)
    await table.insert(many(1))
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(disowned)
    expect((await checkpointOf(store, plan)).frontier).toEqual(checkpoint.frontier)
    await materializeView(db, store, plan, { moment, rebuild: true })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('is noticed by a push that meets such a state: it leaves the view to its next run', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    const push = async () => {
      await table.insert(many(1))
      const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
      return (await foldTransactions(db, store, [plan], [Number(row?.xid)], { moment })).left
    }
    expect(await push()).toEqual([])
    await setAhead(store, plan)
    expect(await push()).toEqual([plan.id])
  })

  it('is noticed if only a range of the checkpoint is ahead, and no push is folded', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    const before = await checkpointOf(store, plan)
    const checkpoint = { ...before, frontier: union(before.frontier, gone) }
    expect(await writeCheckpoint(store, plan.id, checkpoint, before)).toBe(true)
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(refusal)
    await expect(
      rebuildRange(db, store, plan, { checkpoint, range: { from: null, to: null }, events: null, moment }),
    ).rejects.toMatchObject(refusal)
    expect(await hasArrived(db, plan, before.frontier)).toBe(false)
    expect(await hasArrived(db, plan, checkpoint.frontier)).toBe(true)
    await table.insert(many(1))
    const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
    expect(await foldTransactions(db, store, [plan], [Number(row?.xid)], { moment })).toMatchObject({ rows: 0, left: [plan.id] })
  })
})

describe.each(storeKinds)('a table that is dropped and recreated under its name, beside the %s store', (kind) => {
  it('is refused by the next run, which would count rows twice, until a rebuild', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    await db.query(`drop table ${table.name}`)
    const again = await createPaymentsTable(db, table.name)
    await again.insert(many(20))
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining(`a table that was dropped and recreated since. Run "lockstep materialize ${plan.id} --rebuild"`),
    })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    await materializeView(db, store, plan, { moment, rebuild: true })
    await again.insert(many(5))
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, again.keys(plan))).toEqual(again.expected(plan, moment))
  })
})

describe.each(storeKinds)('an erasure that is under way, on the %s store', (kind) => {
  it('does not look like a restored database to a push with an open transaction', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    await table.insert(many(1))
    const [row] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
    const pushed: unknown[] = []
    const beside: OnlineStore = {
      ...store,
      async write(writes) {
        const written = await store.write(writes)
        pushed.push(await foldTransactions(db, store, [plan], [Number(row?.xid)], { moment }))
        return written
      },
    }
    await rebuildStates(db, beside, plan, [accountKey(plan, account)], moment)
    expect(pushed).toEqual([{ rows: 0, entities: 0, left: [] }])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})
