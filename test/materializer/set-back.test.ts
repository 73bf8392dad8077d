import { describe, expect, it } from 'vitest'
import { backfills, beginBackfill } from '../../materializer/backfills/backfill.ts'
import { backfillPlan, backfillSpec } from '../../materializer/backfills/backfill-spec.ts'
import { readBackfill } from '../../materializer/backfills/read-backfills.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { checkpointKey, readCheckpoint, tryCheckpoints } from '../../online/checkpoint.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import { freshView, heldRun, heldSecondRun, many, materializerFixture, moment } from './fixture.ts'
import { accountKey, storedStates } from './payments.ts'

const fixture = materializerFixture()

let primaries = 0
/** The store as it is once another primary has taken over. */
function failedOver(store: OnlineStore): OnlineStore {
  const primary = `primary ${primaries++}`
  return { ...store, primaries: () => Promise.resolve([primary]) }
}

describe('a failover that is noticed while a view is written', () => {
  it('ends a current run as lost, however old its checkpoint is', async () => {
    const { db, store } = fixture().open('redis')
    await detectFailover(db, failedOver(store), { nowMs: Date.now() })
    const { table, plan, run, open } = await heldSecondRun(db, store)
    const before = (await readCheckpoint(store, plan.id))?.frontier.below ?? 0
    // where it stands is older than the horizon
    expect(await detectFailover(db, failedOver(store), { nowMs: Date.now() + 1, replayMs: 0 })).toContain(plan.id)
    expect((await readCheckpoint(store, plan.id))?.frontier.below).toBe(before - 1)
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    for (let round = 0; round < 3; round++) {
      await table.insert(many(20))
      const held = await heldRun(db, failedOver(store), plan)
      await detectFailover(db, failedOver(store), { nowMs: Date.now() })
      held.open()
      await expect(held.run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    }
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('sends readers of absent entities to history until a run rereads the arrivals', async () => {
    const { db, store } = fixture().open('redis')
    await detectFailover(db, store, { nowMs: Date.now() })
    const { table, plan } = await freshView(db)
    await table.insert(many(30))
    await materializeView(db, store, plan, { moment })
    const key = accountKey(plan, many(1)[0]?.account ?? '')
    const asked = async () =>
      (
        await readOnline(
          store,
          ['absent', key].map((each) => ({ plan, key: each })),
          moment,
        )
      ).map(({ values }) => values !== null)
    expect(await asked()).toEqual([true, true])
    await detectFailover(db, failedOver(store), { nowMs: Date.now() + 1, replayMs: 0 })
    expect(await asked()).toEqual([false, true])
    await materializeView(db, store, plan, { moment })
    expect(await asked()).toEqual([true, true])
  })

  it('ends a first run as lost, and the next one starts the view', async () => {
    const { db, store } = fixture().open('redis')
    await detectFailover(db, store, { nowMs: Date.now() })
    const { table, plan } = await freshView(db)
    await table.insert(many(300))
    const { run, open } = await heldRun(db, store, plan)
    expect(await detectFailover(db, failedOver(store), { nowMs: Date.now() })).toContain(plan.id)
    expect(await readCheckpoint(store, plan.id)).toBeNull()
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})

it('fails a running backfill, and stays in effect after a later finish', async () => {
  const { db, store } = fixture().open('redis')
  const tools = { db, store, worker: 'test' }
  const now = (): number => moment
  await detectFailover(db, store, { nowMs: Date.now() })
  const { table, plan } = await freshView(db)
  await table.insert(many(50))
  await materializeView(db, store, plan, { moment })
  const { id } = await beginBackfill(tools, plan, { now, chunks: 1 })
  const below = String((await readCheckpoint(store, plan.id))?.frontier.below ?? 0)
  const job = await readJob(db, id)
  const kind = backfills(tools, () => Promise.resolve(plan), { now })
  const finishing = kind.finish?.(
    { ...job, spec: backfillSpec.parse(job.spec), plan: backfillPlan.parse(job.plan) },
    [{ below, rows: 50, entities: 50 }],
    {
      signal: AbortSignal.timeout(60_000),
      worker: 'test',
      attempt: 0,
      progress: () => undefined,
      // the failover comes after the checkpoint was read
      async isHeld() {
        await detectFailover(db, failedOver(store), { nowMs: Date.now() })
        return true
      },
    },
  )
  await expect(finishing).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  expect(await readCheckpoint(store, plan.id)).toMatchObject({ setBack: true })
  expect(await readBackfill(db, id)).toMatchObject({ state: 'failed', error: { code: 'STORE_MISMATCH' } })
})

it('passes over a checkpoint that cannot be read', async () => {
  const { db, store } = fixture().open('redis')
  await detectFailover(db, store, { nowMs: Date.now() })
  const [broken, other] = [(await freshView(db)).plan, (await freshView(db)).plan]
  for (const plan of [broken, other]) await materializeView(db, store, plan, { moment })
  await store.removeView(broken.id)
  await store.write([{ ...checkpointKey(broken.id), expected: null, bytes: Buffer.from('not a checkpoint') }])
  const views = await detectFailover(db, failedOver(store), { nowMs: Date.now() })
  expect(views).toContain(other.id)
  expect(views).not.toContain(broken.id)
  const [unreadable, checkpoint] = await tryCheckpoints(store, [broken.id, other.id])
  expect(unreadable).toMatchObject({ code: 'STATE_CORRUPT' })
  expect(checkpoint).toMatchObject({ fingerprint: other.fingerprint })
})
