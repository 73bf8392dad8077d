import type { CursorSpec } from '../../kernel/specs/view-spec.ts'
import { describe, expect, it } from 'vitest'
import { allBelow } from '../../kernel/states/frontier.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { MaterializeResult } from '../../materializer/runs/materialize.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { freshView, materializerFixture, moment } from './fixture.ts'
import type { Payment } from './payments.ts'
import { storedStates } from './payments.ts'

const opened = materializerFixture()
const [minute, day] = [60_000_000, 86_400_000_000]
const cursor: CursorSpec = { column: 'updated_at', overlapMicros: 10 * minute, reconcileMicros: day }

/** A user's table, in which rows have the time at which they were written. */
async function updatedView(db: Database) {
  const { table, plan } = await freshView(db, 'plain')
  await db.script(`alter table ${table.name} add column updated_at timestamptz`)
  const written = async (rows: Parameters<typeof table.insert>[0], at: string): Promise<void> => {
    await db.script(`alter table ${table.name} alter column updated_at set default timestamptz '${at}'`)
    await table.insert(rows)
  }
  return { table, written, plan: { ...plan, upkeep: { ...plan.upkeep, cursor } } as ViewPlan }
}

let paid = 0
/** Each within all windows, so that no row is without a trace. */
const of = (account: string): Payment[] =>
  Array.from({ length: 5 }, () => ({ account, paidAt: moment - 60 * minute + paid++, knownAt: null, amount: paid / 4, label: `${paid}` }))

describe('a view of a table that finds new rows by a cursor', () => {
  it('rebuilds entities with rows since the overlap from all rows, each counted once', async () => {
    const { db, store } = opened().open('redis')
    const { table, written, plan } = await updatedView(db)
    // runs are never dated later than the clock of the database
    const now = Date.now() * 1000 - 2 * day
    const run = (later: number): Promise<MaterializeResult> => materializeView(db, store, plan, { moment, now: () => now + later })
    const same = async (): Promise<void> => {
      expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    }
    await written([...of('a'), ...of('b')], '2026-01-01 10:00')
    await written(of('c'), '2026-01-01 12:00')
    expect((await run(0)).mode).toBe('full')
    await same()

    await written(of('a'), '2026-01-01 11:55')
    await written(of('new'), '2026-01-01 12:30')
    const second = await run(minute)
    expect([second.mode, second.rows]).toEqual(['cursor', 20]) // all of a, of new, and of c, which is met again
    await same()
    expect(await run(2 * minute)).toMatchObject({ mode: 'cursor', rows: 5, entities: 1 })
    await same()

    // committed later than the overlap allows
    await written(of('b'), '2026-01-01 11:00')
    expect(await run(3 * minute)).toMatchObject({ mode: 'cursor', rows: 5, entities: 1 })
    await expect(same()).rejects.toThrow(/deeply equal/)
    expect((await run(day)).mode).toBe('full')
    await same()
    expect((await run(day + minute)).mode).toBe('cursor')
  })

  it('is not led on by a row from the future', async () => {
    const { db, store } = opened().open('redis')
    const { table, written, plan } = await updatedView(db)
    await written(of('a'), '2026-01-01 10:00')
    await written(of('b'), '2099-01-01')
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('full')
    await written(of('c'), '2026-01-01 10:05')
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'cursor', rows: 15 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    // as a run noted it that did not yet know better
    await db.query(`update lockstep.materialization_runs set cursor_to = cursor_to * 2 where view = '${plan.id}' and not read_all`)
    await written(of('d'), '2026-01-01 10:06')
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ mode: 'cursor', rows: 20 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('reads all rows if the cursor changed, the view is new, or no time is stored', async () => {
    const { db, store } = opened().open('embedded')
    const { table, written, plan } = await updatedView(db)
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('full')
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('full')
    await written(of('a'), '2026-01-01 10:00')
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('full')
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('cursor')
    const checkpoint = await readCheckpoint(store, plan.id)
    if (checkpoint === null) throw new Error('no checkpoint')
    // as after a failover
    await writeCheckpoint(store, plan.id, { ...checkpoint, frontier: allBelow(checkpoint.frontier.below - 1) }, checkpoint)
    expect((await materializeView(db, store, plan, { moment })).mode).toBe('full')
    const other = { ...plan, upkeep: { ...plan.upkeep, cursor: { ...cursor, column: 'paid_at' } } }
    expect((await materializeView(db, store, other, { moment })).mode).toBe('full')
    expect((await materializeView(db, store, plan, { moment, rebuild: true })).mode).toBe('full')
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    const wrong = { ...plan, upkeep: { ...plan.upkeep, cursor: { ...cursor, column: 'label' } } }
    await expect(materializeView(db, store, wrong, { moment })).rejects.toThrow('has the cursor "label", a column that')
  })
})
