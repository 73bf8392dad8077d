import { expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { pruneRuns } from '../../materializer/runs/prune-runs.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { readCheckpoint } from '../../online/checkpoint.ts'
import { nextWitness } from '../../online/witness.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { freshView, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import { storedStates } from './payments.ts'

const fixture = materializerFixture()
const hourMs = 3_600_000

interface Recorded {
  readonly id: number
  readonly from: number
  readonly to: number
}

async function recorded(db: Database, plan: ViewPlan): Promise<Recorded[]> {
  const rows = await db.query<Record<keyof Recorded, string>>(
    `select id, from_xid as from, to_xid as to from lockstep.materialization_runs where view = $1 and finished_at is not null order by id`,
    [plan.id],
  )
  return rows.map(({ id, from, to }) => ({ id: Number(id), from: Number(from), to: Number(to) }))
}

it.each(storeKinds)('keeps the requested runs into the %s store, in touching intervals', async (kind) => {
  const { db, store } = fixture().open(kind)
  const { table, plan } = await freshView(db)
  const { plan: other } = await freshView(db)
  for (let i = 0; i < 12; i++) {
    await table.insert(many(3))
    await materializeView(db, store, plan, { moment: moment + i })
  }
  await materializeView(db, store, other, { moment })
  await db.query(`insert into lockstep.materialization_runs (view, fingerprint, store, from_xid, to_xid, moment, rows, entities, started_at)
    select view, fingerprint, store, 0, 0, moment, 0, 0, now() - at from lockstep.materialization_runs, (values (interval '2 days'), ('1 minute')) old (at)
    where view = '${plan.id}' and moment = ${moment}`)
  const all = await recorded(db, plan)
  // two hours ago but for the last two, and of these the latest moment is the third's
  await db.query(
    `update lockstep.materialization_runs set started_at = started_at - interval '2 hours', finished_at = finished_at - interval '2 hours' where view = $1 and id < $2
       and id <> $3`,
    [plan.id, all[10]?.id, all[0]?.id],
  )
  await db.query(`update lockstep.materialization_runs set moment = $1 where id = $2`, [moment + 100, all[2]?.id])
  const last = async () => (await materializationStatus(db, Date.now())).find(({ view }) => view === plan.id)
  const shown = await last()

  expect(await pruneRuns(db, store, { nowMs: Date.now() })).toBe(12 - 5 + 1)
  const kept = await recorded(db, plan)
  expect(kept.map(({ id }) => id)).toEqual([0, 2, 9, 10, 11].map((i) => all[i]?.id))
  expect(kept[0]?.from).toBe(0)
  for (const [i, { from }] of kept.entries()) if (i > 0) expect(from).toBe(kept[i - 1]?.to)
  expect(kept.map(({ to }) => to)).toEqual([0, 2, 9, 10, 11].map((i) => all[i]?.to))
  expect(await db.query(`select from lockstep.materialization_runs where view = $1 and finished_at is null`, [plan.id])).toHaveLength(1)
  expect({ ...(await last()), ageMs: 0 }).toEqual({ ...shown, ageMs: 0 })
  expect(await recorded(db, other)).toHaveLength(1)
  expect(await pruneRuns(db, store, { nowMs: Date.now() })).toBe(0)

  // the next run goes on, and a failover finds where it stood before the horizon
  await table.insert(many(3))
  expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: all[11]?.to, rows: 3 })
  await detectFailover(db, store, { nowMs: Date.now() })
  await detectFailover(db, { ...store, primaries: () => Promise.resolve([`another ${kind}`]) }, { nowMs: Date.now() })
  expect((await readCheckpoint(store, plan.id))?.frontier.below).toBe(all[9]?.to)
  await materializeView(db, store, plan, { moment })
  expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
})

it('keeps runs of a view without a checkpoint, and all that a replay may need', async () => {
  const { db, store } = fixture().open('redis')
  const { table, plan } = await freshView(db)
  for (let i = 0; i < 4; i++) {
    await table.insert(many(2))
    await materializeView(db, store, plan, { moment: moment + i })
  }
  await db.query(`update lockstep.materialization_runs set finished_at = finished_at - interval '2 hours' where view = $1`, [plan.id])
  expect(await pruneRuns(db, store, { nowMs: Date.now(), replayMs: 3 * hourMs })).toBe(0)
  await store.removeView(plan.id)
  expect(await pruneRuns(db, store, { nowMs: Date.now() })).toBe(0)
  expect(await recorded(db, plan)).toHaveLength(4)
})

it('deletes witnesses after 90 days, but not one that a checkpoint names', async () => {
  const { db, store } = fixture().open('redis')
  const { table, plan } = await freshView(db)
  await table.insert(many(2))
  await materializeView(db, store, plan, { moment })
  const named = (await readCheckpoint(store, plan.id))?.witness?.writer
  const identity = await store.identity()
  const other = openPostgres(fixture().databaseUrl)
  const [old, recent] = [
    await nextWitness(other, identity, []),
    await nextWitness({ query: (...args) => other.query(...args) }, identity, []),
  ]
  await db.query(`update lockstep.store_witnesses set written_at = now() - interval '91 days' where writer in ($1, $2)`, [
    named,
    old.witness.writer,
  ])
  await pruneRuns(db, store, { nowMs: Date.now() })
  const left = await other.query<{ writer: string }>(`select writer from lockstep.store_witnesses where store = $1`, [identity])
  await other.close()
  const writers = left.map(({ writer }) => writer)
  expect(writers).toEqual(expect.arrayContaining([named, recent.witness.writer]))
  expect(writers).not.toContain(old.witness.writer)
})
