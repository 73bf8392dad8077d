import { describe, expect, it } from 'vitest'
import { materializeView } from '../../materializer/materialize.ts'
import { noticeFailover } from '../../materializer/notice-failover.ts'
import { readMarker } from '../../online/marker.ts'
import type { OnlineStore } from '../../online/store.ts'
import { freshView, heldRun, heldSecondRun, many, materializerFixture, moment } from './fixture.ts'
import { storedStates } from './payments.ts'

const fixture = materializerFixture()

let primaries = 0
/** The store as it is once another primary has taken over. */
function failedOver(store: OnlineStore): OnlineStore {
  const primary = `primary ${primaries++}`
  return { ...store, primaries: () => Promise.resolve([primary]) }
}

describe('a failover that is noticed while a view is written', () => {
  it('ends a run that is under way as lost, however far back its marker stands', async () => {
    const { db, store } = fixture().open('redis')
    await noticeFailover(db, failedOver(store), { nowMs: Date.now() })
    const { table, plan, run, open } = await heldSecondRun(db, store)
    const before = (await readMarker(store, plan.id))?.frontier.below ?? 0
    // where it stands is older than the horizon
    expect(await noticeFailover(db, failedOver(store), { nowMs: Date.now() + 1, replayMs: 0 })).toContain(plan.id)
    expect((await readMarker(store, plan.id))?.frontier.below).toBe(before - 1)
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    for (let round = 0; round < 3; round++) {
      await table.insert(many(20))
      const held = await heldRun(db, failedOver(store), plan)
      await noticeFailover(db, failedOver(store), { nowMs: Date.now() })
      held.open()
      await expect(held.run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    }
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('ends a first run as lost, and the next one begins the view', async () => {
    const { db, store } = fixture().open('redis')
    await noticeFailover(db, store, { nowMs: Date.now() })
    const { table, plan } = await freshView(db)
    await table.insert(many(300))
    const { run, open } = await heldRun(db, store, plan)
    expect(await noticeFailover(db, failedOver(store), { nowMs: Date.now() })).toContain(plan.id)
    expect(await readMarker(store, plan.id)).toBeNull()
    open()
    await expect(run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })
})
