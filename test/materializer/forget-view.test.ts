import { describe, expect, it } from 'vitest'
import { beginBackfill, runningBackfill } from '../../materializer/backfills/backfill.ts'
import { forgetView } from '../../materializer/forget-view.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { endRemoval, requestRemoval, workOnRemovals } from '../../materializer/sources/removals.ts'
import { forgetRuns, startRun } from '../../materializer/runs/runs.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { firstCheckpoint, checkpointKey, readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import { freshView, heldSecondRun, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import { storedStates } from './payments.ts'

const fixture = materializerFixture()

describe.each(storeKinds)('a view that is forgotten in the %s store', (kind) => {
  it('has no state, checkpoint or run, and is materialized as if for the first time', async () => {
    const { db, store } = fixture().open(kind)
    const [{ table, plan }, other] = [await freshView(db), await freshView(db)]
    await table.insert(many(300))
    await other.table.insert(many(30))
    for (const each of [plan, other.plan]) await materializeView(db, store, each, { moment })
    const keys = table.keys(plan)
    expect(await forgetView(db, store, plan.id)).toBe(keys.length + 1)
    expect(await readCheckpoint(store, plan.id)).toBeNull()
    expect((await store.read(keys.map((key) => ({ view: plan.id, entity: 'account', key })))).every((bytes) => bytes === null)).toBe(true)
    const identity = await store.identity()
    const listed = (await materializationStatus(db, 0)).filter((run) => run.store === identity).map(({ view }) => view)
    expect(listed).toContain(other.plan.id)
    expect(listed).not.toContain(plan.id)
    expect(await storedStates(store, other.plan, other.table.keys(other.plan))).toEqual(other.table.expected(other.plan, moment))

    await table.insert(many(10))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: 0, rows: 310 })
    expect(await storedStates(store, plan, keys)).toEqual(table.expected(plan, moment))
  })

  it('leaves no backfill that could be joined when it returns', async () => {
    const { db, store } = fixture().open(kind)
    const { plan } = await freshView(db)
    const what = { view: plan.id, store: await store.identity(), events: null }
    const { id } = await beginBackfill({ db, store, worker: 'test' }, plan, { now: () => moment })
    expect(await runningBackfill(db, what)).toBe(id)
    await forgetView(db, store, plan.id)
    expect(await runningBackfill(db, what)).toBeNull()
    // nor where the view is forgotten while one begins
    let reads = 0
    const forgetful: OnlineStore = {
      ...store,
      async read(keys) {
        const read = await store.read(keys)
        if (reads++ === 0) await forgetRuns(db, plan.id, what.store)
        return read
      },
    }
    const beginning = beginBackfill({ db, store: forgetful, worker: 'test' }, plan, { now: () => moment })
    await expect(beginning).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(await runningBackfill(db, what)).toBeNull()
  })

  it('keeps runs of a returning view if it returns before its removal ends', async () => {
    const { db, store } = fixture().open(kind)
    const { plan } = await freshView(db)
    const identity = await store.identity()
    const returned = { view: plan.id, fingerprint: plan.fingerprint, store: identity, moment, startedAt: new Date() }
    const returning: OnlineStore = {
      ...store,
      async removeView(...which) {
        const keys = await store.removeView(...which)
        await endRemoval(db, identity, plan.id)
        await startRun(db, returned)
        return keys
      },
    }
    await requestRemoval(db, identity, plan.id)
    expect(await workOnRemovals(db, returning, { waitMs: 60_000 })).toEqual([])
    const runs = await db.query('select id from lockstep.materialization_runs where view = $1', [plan.id])
    expect(runs.length).toBe(1)
  })

  it('is lost to a run that is under way', async () => {
    const { db, store } = fixture().open(kind)
    const { plan, run, open } = await heldSecondRun(db, store)
    await forgetView(db, store, plan.id)
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })

  it('is kept if another database has materialized it', async () => {
    const { db, store } = fixture().open(kind)
    const { plan } = await freshView(db)
    const origin = { id: '7', startedAt: new Date(0) }
    const checkpoint = firstCheckpoint({ fingerprint: plan.fingerprint, incremental: true, origin, removing: false })
    await writeCheckpoint(store, plan.id, checkpoint, null)
    expect(await forgetView(db, store, plan.id)).toBeNull()
    expect(await readCheckpoint(store, plan.id)).toEqual(checkpoint)
  })

  it('is deleted if its checkpoint is unreadable, and is a no-op if never stored', async () => {
    const { db, store } = fixture().open(kind)
    const { plan } = await freshView(db)
    expect(await forgetView(db, store, plan.id)).toBe(0)
    await store.write([{ ...checkpointKey(plan.id), expected: null, bytes: Buffer.from('?') }])
    expect(await forgetView(db, store, plan.id)).toBe(1)
  })
})
