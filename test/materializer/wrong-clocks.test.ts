import { describe, expect, it } from 'vitest'
import { backfills, beginBackfill } from '../../materializer/backfills/backfill.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { askForScheduledRun, scheduledRunKind, scheduledRuns } from '../../materializer/runs/scheduled-runs.ts'
import { readCheckpoint } from '../../online/checkpoint.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { materializerFixture, moment } from './fixture.ts'
import { createPaymentsTable } from './payments-table.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()
const minute = 60_000_000
const instant = Math.floor(moment / (5 * minute)) * 5 * minute
const availability = { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: minute } as const

describe('a worker whose clock is wrong', () => {
  it('runs nothing of a schedule before its instant if the clock of a worker is ahead', async () => {
    const { db, store } = fixture().open('redis')
    await createPaymentsTable(db, 'early')
    const hourly = { kind: 'schedule', schedule: '0 * * * *', delayMicros: minute } as const
    const plan = paymentsPlan({ name: 'early', relation: { kind: 'table', table: 'early' }, availability: hourly })
    const tools = { db, store, clock: () => (Date.now() + 7_200_000) * 1000, worker: 'test' }
    await materializeView(db, store, plan, { now: () => (Date.now() - 7_200_000) * 1000 })
    await askForScheduledRun(tools, plan)
    const [asked] = await readJobs(db, { kind: scheduledRunKind, subject: plan.id })
    expect(asked?.moment).toBeLessThanOrEqual(Date.now() * 1000)
    const kinds = [
      scheduledRuns(
        tools,
        () => Promise.resolve(plan),
        () => undefined,
      ),
    ]
    const work = { kinds, worker: 'test' }
    expect(await awaitJob(db, asked?.id ?? 0, { signal: AbortSignal.timeout(60_000), work })).toMatchObject({
      state: 'done',
      totals: { rows: 0 },
    })
    expect((await readCheckpoint(store, plan.id))?.begunAt).toBeLessThanOrEqual(Date.now() * 1000)
  })

  it('counts the run of a worker whose clock is behind for the instant that it was asked for', async () => {
    const { db, store } = fixture().open('redis')
    await createPaymentsTable(db, 'behind')
    const plan = paymentsPlan({ name: 'behind', relation: { kind: 'table', table: 'behind' }, availability })
    await materializeView(db, store, plan, { now: () => instant - 5 * minute })
    const right = { db, store, worker: 'right', clock: () => instant }
    expect(await askForScheduledRun(right, plan)).toBe(false)
    const [asked] = await readJobs(db, { kind: scheduledRunKind, subject: plan.id })
    const behind = { ...right, worker: 'behind', clock: () => instant - 10 * minute }
    const kinds = [
      scheduledRuns(
        behind,
        async () => plan,
        () => undefined,
      ),
    ]
    const work = { kinds, worker: 'behind' }
    expect(await awaitJob(db, asked?.id ?? 0, { signal: AbortSignal.timeout(60_000), work })).toMatchObject({ state: 'done' })
    expect(await askForScheduledRun(right, plan)).toBe(true)
  })

  it.each(['run', 'backfill'] as const)('dates no %s later than the clock of the database', async (how) => {
    const { db, store } = fixture().open('redis')
    const table = `filled_${how}`
    await createPaymentsTable(db, table)
    const plan = paymentsPlan({ name: table, relation: { kind: 'table', table }, availability })
    const tools = { db, store, worker: 'test' }
    const now = (): number => (Date.now() + 7_200_000) * 1000
    if (how === 'run') await materializeView(db, store, plan, { now })
    else {
      const { id } = await beginBackfill(tools, plan, { chunks: 1, now })
      const kinds = [backfills(tools, async () => plan, { now })]
      await awaitJob(db, id, { signal: AbortSignal.timeout(60_000), work: { kinds, worker: 'test' } })
    }
    // else the runs of its schedule would count as done for two hours
    expect((await readCheckpoint(store, plan.id))?.begunAt).toBeLessThanOrEqual(Date.now() * 1000)
    const runs = await db.query<{ isPast: boolean }>(
      `select moment <= $2::float8 as "isPast" from lockstep.materialization_runs where view = $1 and finished_at is not null`,
      [plan.id, Date.now() * 1000],
    )
    expect(runs).toEqual([{ isPast: true }])
  })
})
