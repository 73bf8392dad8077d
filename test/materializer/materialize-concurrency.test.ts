import { fork } from 'node:child_process'
import fc from 'fast-check'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { programFile } from '../cli/run-lockstep.ts'
import type { StoreKind } from './fixture.ts'
import { freshView, heldRun, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import type { PaymentsTable } from './payments-table.ts'
import { payment, storedStates } from './payments.ts'

const fixture = materializerFixture()

describe.each(storeKinds)('materializing into the %s store, several runs at once or killed', (kind) => {
  it('counts each row once when several processes run at once while rows arrive', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(3_000))
    const runs = [1, 2].map(() => runElsewhere(kind, table, plan))
    for (let i = 0; i < 5; i++) {
      await table.insert(many(200))
      await Promise.all([materializeView(db, store, plan, { moment }), materializeView(db, store, plan, { moment })])
    }
    for (const run of runs) expect((await run.result)?.rows).toBeGreaterThanOrEqual(0)
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('gives the same bytes when runs are killed at any point and run again', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(20_000))
    let interrupted = 0
    for (const batches of [1, 6, 14]) {
      const run = runElsewhere(kind, table, plan, batches)
      if ((await run.result) === null) interrupted++
      await table.insert(many(50 + batches))
    }
    // the first run ends before it is killed if this process is held up, and leaves the others little to do
    for (let tries = 0; interrupted === 0; tries++) {
      expect(tries).toBeLessThan(20)
      await table.insert(many(20_000))
      if ((await runElsewhere(kind, table, plan, 1).result) === null) interrupted++
    }
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('folds the missing rows into what another run stored first', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(1_500))
    // Both runs have read the store empty and frozen the database, the one before these rows came and the other after.
    const older = await heldRun(db, store, plan)
    await table.insert(many(1_700))
    const newer = await heldRun(db, store, plan)
    older.open()
    const first = await older.run
    newer.open()
    const second = await newer.run
    expect(first.to).toBeLessThan(second.to)
    // The newer run had folded all; what counts is what it stored on top of the other.
    expect([first.rows, second.rows]).toEqual([1_500, 1_700])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('does not overwrite what a newer run stored first', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(1_500))
    const older = await heldRun(db, store, plan)
    await table.insert(many(100))
    const newer = await materializeView(db, store, plan, { moment })
    older.open()
    expect([newer.rows, (await older.run).rows]).toEqual([1_600, 0])
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: newer.to, rows: 0 })
  })

  it('reads the rows of a late commit once', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const late = new Client({ connectionString: fixture().databaseUrl })
    await late.connect()
    await late.query('begin')
    const slow = fc.sample(payment, 5)
    await late.query(table.insertSql(slow))
    const quick = fc.sample(payment, 5)
    await db.query(table.insertSql(quick))
    const during = await materializeView(db, store, plan, { moment })
    await late.query('commit')
    await late.end()
    const after = await materializeView(db, store, plan, { moment })
    const again = await materializeView(db, store, plan, { moment })
    expect([during.rows, after.rows, again.rows]).toEqual([5, 5, 0])
    const same = await freshView(db)
    await same.table.insert([...slow, ...quick])
    expect(await storedStates(store, plan, same.table.keys(plan))).toEqual(same.table.expected(plan, moment))
  })
})

/** A run in a process of its own, killed after so many batches; its result is null where the kill came in time. */
function runElsewhere(kind: StoreKind, table: PaymentsTable, plan: ViewPlan, killAfter = Number.POSITIVE_INFINITY) {
  const child = fork(
    programFile('test/materializer/materialize-process'),
    [fixture().databaseUrl, table.name, plan.spec.name, String(moment), ...fixture().addresses[kind]],
    { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
  )
  let errors = ''
  child.stderr?.on('data', (chunk) => (errors += String(chunk)))
  let outcome: { rows: number } | null = null
  let batches = 0
  child.on('message', (message) => {
    if (message !== 'progress') outcome = message as { rows: number }
    else if (++batches === killAfter) child.kill('SIGKILL')
  })
  const result = new Promise<{ rows: number } | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) =>
      code === 0 || signal === 'SIGKILL' ? resolve(outcome) : reject(new Error(`The materializing process ended with ${code}: ${errors}`)),
    )
  })
  return { result }
}
