import fc from 'fast-check'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { materializationStatus } from '../../materializer/status.ts'
import { firstCheckpoint, checkpointKey, readCheckpoint, writeCheckpoint } from '../../online/checkpoint.ts'
import { checkDatabase } from '../../cli/doctor/database-checks.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { freshView, heldRun, heldSecondRun, many, materializerFixture, moment, storeKinds } from './fixture.ts'
import type { Payment } from './payments.ts'
import { accountKey, minute, payment, start, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()

const one = (account: string, minutes: number): Payment => ({
  account,
  paidAt: start + minutes * minute,
  knownAt: null,
  amount: minutes,
  label: null,
})

describe.each(storeKinds)('a view whose states are lost in the %s store', (kind) => {
  it('folds a lost entity from its first row on its next arrival', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert([one('kept', 1), one('gone', 2), one('gone', 3)])
    await materializeView(db, store, plan, { moment })
    await forget(store, plan, table.keys(plan), accountKey(plan, 'gone'))
    await table.insert([one('gone', 4), one('kept', 5), one('new', 6)])
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 5, entities: 3 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('leaves no partial state when the store is emptied during a stopped run', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(3_000))
    await materializeView(db, store, plan, { moment })
    await table.insert(many(3_000))
    let emptied = false
    const stopping: OnlineStore = {
      ...store,
      async read(keys) {
        if (!emptied && keys.some(({ entity }) => entity === 'account')) {
          emptied = true
          await store.removeView(plan.id)
        }
        return store.read(keys)
      },
      async write(entries) {
        await store.write(entries)
        if (emptied) throw new Error('stopped')
        return entries.map(() => true)
      },
    }
    await expect(materializeView(db, stopping, plan, { moment })).rejects.toThrow(/stopped|lost/)
    await materializeView(db, store, plan, { moment })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('notices that the view was restarted before it folds on its reads', async () => {
    const { db, store } = fixture().open(kind)
    const behind = await heldSecondRun(db, store)
    const { table, plan } = behind
    await materializeView(db, store, plan, { moment, rebuild: true })
    behind.open()
    await expect(behind.run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('loses nothing during a rebuild beside runs, and records finished runs only', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(300))
    let succeeded = 0
    for (let round = 0; round < 12; round++) {
      await table.insert(many(40))
      const rebuild = round % 3 === 2 ? [false, true, true] : [false, true, false]
      const outcomes = await Promise.allSettled(rebuild.map((each) => materializeView(db, store, plan, { moment, rebuild: each })))
      succeeded += outcomes.filter(({ status }) => status === 'fulfilled').length
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'STORE_MISMATCH' })
      // As any later run would: rows for half of the entities only.
      await table.insert(many(20))
      await materializeView(db, store, plan, { moment })
      succeeded++
      expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    }
    const runs = await db.query<{ finished: boolean }>(
      'select finished_at is not null as finished from lockstep.materialization_runs where view = $1',
      [plan.id],
    )
    expect(runs.length).toBe(12 * 4)
    expect(runs.filter(({ finished }) => finished).length).toBe(succeeded)
  })

  it('blocks runs while a rebuild removes it, and the next run completes the removal', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    await materializeView(db, store, plan, { moment })
    const [removing, stop] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const failing: OnlineStore = {
      ...store,
      async removeView() {
        await forget(store, plan, table.keys(plan), accountKey(plan, 'account 0'))
        removing.resolve()
        await stop.promise
        throw new Error('the power went out')
      },
    }
    const stopped = materializeView(db, failing, plan, { moment, rebuild: true }).catch(String)
    await removing.promise
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining(`"${plan.id}" is being rebuilt`),
    })
    stop.resolve()
    expect(await stopped).toContain('the power went out')
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ from: 0, rows: 50 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('does not touch a rebuild of another database', async () => {
    const { db, store } = fixture().open(kind)
    const { plan } = await freshView(db)
    const origin = { id: '1', startedAt: new Date(0) }
    const removing = firstCheckpoint({ fingerprint: plan.fingerprint, incremental: true, origin, removing: true })
    await writeCheckpoint(store, plan.id, removing, null)
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('from another database'),
    })
    expect(await readCheckpoint(store, plan.id)).toEqual(removing)
  })

  it('records no end of a run that did not move the view on', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    await table.insert(many(50))
    const gated = await heldRun(db, store, plan)
    await store.removeView(plan.id)
    gated.open()
    await expect(gated.run).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect((await materializationStatus(db, Date.now())).some(({ view }) => view === plan.id)).toBe(false)
  })
})

it('reads the owner of a view from the database once, and again before notifying it', async () => {
  const { db, store } = fixture().open('embedded')
  const { table, plan } = await freshView(db)
  await table.insert(many(3))
  await materializeView(db, store, plan, { moment })
  const checkpoint = await readCheckpoint(store, plan.id)
  if (checkpoint === null) throw new Error('it was materialized')
  const other = { ...checkpoint, origin: { id: checkpoint.origin.id, startedAt: new Date(0) } }
  let asked = 0
  const owner = createCheckpointOwner(() => {
    asked++
    return db
  })
  const views = [checkpoint, other].map((each) => ({ view: plan.id, checkpoint: each }))
  const told = [null, { problem: expect.stringContaining('belongs to another database') as string, passes: false }]
  for (const [again, times] of [
    [false, 1],
    [false, 1],
    [true, 2],
    [false, 2],
  ] as const) {
    expect(await owner.foreign(views, again)).toEqual(told)
    expect(asked).toBe(times)
  }
})

describe('rows that cannot be folded yet, or never', () => {
  it("refuses rows restored with another database's arrivals, until they arrive again", async () => {
    const { db, store } = fixture().open('embedded')
    const { table, plan } = await freshView(db)
    const { table: other } = await freshView(db)
    await table.insert(many(20))
    await other.insert(many(2))
    for (const { name } of [table, other]) await db.script(`update ${name} set _xid = '900000000000'`)
    const statements = [other, table].map(({ name }) => `update public.${name} set _xid = pg_current_xact_id();`).sort()
    const all = {
      code: 'INVALID_ROW',
      message: expect.stringContaining(`in all such tables (${statements.join(' ')})`),
      details: { statements },
    }
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(all)
    for (const { name } of [table, other]) await db.script(`create index on ${name} (_xid)`)
    const advice = expect.objectContaining({
      verdict: 'wrong',
      text: expect.stringContaining(`(${statements.join(' ')})`) as string,
    }) as object
    expect(await checkDatabase(db, 'it')).toContainEqual(advice)
    await db.script(statements.join('\n'))
    expect(await checkDatabase(db, 'it')).toHaveLength(1)
    expect(await materializeView(db, store, plan, { moment, rebuild: true })).toMatchObject({ rows: 20 })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
    await table.insert([one('foreign', 1)])
    await db.script(`update ${table.name} set _xid = '900000000000' where account = 'foreign'`)
    const alone = { code: 'INVALID_ROW', details: { tables: [`public.${table.name}`] } }
    await expect(materializeView(db, store, plan, { moment })).rejects.toMatchObject(alone)
  })

  it('names source, key and value of a row that fits no state, and folds the others', async () => {
    const { db, store } = fixture().open('embedded')
    const { table, plan } = await freshView(db)
    await table.insert(many(20))
    let folded = 20
    for (const [values, message] of [
      [
        `(repeat('long', 300), now(), null)`,
        `The key of a row of source "payments" is 1200 bytes long, where at most 1024 are allowed: "account" = "${'long'.repeat(14)}lon…"`,
      ],
      [`('far', '2300-01-01Z', null)`, `The event time of a row of source "payments" with key "account" = "far" is "2300-01-01T00:00:00Z"`],
      [`('ever', 'infinity', null)`, `The event time of a row of source "payments" with key "account" = "ever" is "infinity"`],
      [
        `('late', now(), '2300-01-01Z')`,
        `The known time of a row of source "payments" with key "account" = "late" is "2300-01-01T00:00:00Z"`,
      ],
    ]) {
      await db.query(`insert into ${table.name} (account, paid_at, known_at) values ${values}`)
      const { rows, setAside } = await materializeView(db, store, plan, { moment })
      expect([rows, setAside.entities, setAside.errors[0]?.message]).toEqual([folded, 1, expect.stringContaining(message as string)])
      folded = 0
      await db.query(`delete from ${table.name} where amount is null and label is null and account not like 'account%'`)
    }
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, setAside: { entities: 0 } })
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(table.expected(plan, moment))
  })

  it('folds commits beside an open transaction once, and its rows after it ends', async () => {
    const { db, store } = fixture().open('embedded')
    const { table, plan } = await freshView(db)
    await table.insert(fc.sample(payment, 3))
    await materializeView(db, store, plan, { moment })
    const other = await openTransaction()
    const late = fc.sample(payment, 4)
    await other.query(table.insertSql(late))
    for (let round = 1; round <= 3; round++) {
      await table.insert(fc.sample(payment, 10))
      expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 10 })
      expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 0 })
    }
    const keys = fc.sample(payment, 100).map(({ account }) => accountKey(plan, account))
    expect(await storedStates(store, plan, keys)).toEqual(await statesOfAll(db, store, plan, keys))
    await other.commit()
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 4 })
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 0, entities: 0 })
    expect(await storedStates(store, plan, keys)).toEqual(await statesOfAll(db, store, plan, keys))
  })

  it('keeps the later snapshot if two runs rebuild a view below one open transaction', async () => {
    const { db, store } = fixture().open('embedded')
    const { table, plan } = await freshView(db, 'plain')
    const other = await openTransaction()
    await table.insert([one('a', 1)])
    const older = await heldRun(db, store, plan)
    await table.insert([one('a', 2), one('b', 3)])
    const newer = await materializeView(db, store, plan, { moment })
    const before = await storedStates(store, plan, table.keys(plan))
    older.open()
    expect((await older.run).to).toBe(newer.to)
    await other.commit()
    expect(before.size).toBe(2)
    expect(await storedStates(store, plan, table.keys(plan))).toEqual(before)
  })
})

/** The states of another view over the same rows, which is materialized at once. */
async function statesOfAll(db: Database, store: OnlineStore, plan: ViewPlan, keys: readonly EntityKey[]) {
  const fresh = paymentsPlan({ name: `${plan.spec.name}_${others++}`, relation: plan.spec.source.relation })
  await materializeView(db, store, fresh, { moment })
  return storedStates(store, fresh, keys)
}
let others = 0

/** Removes one of these states behind everyone's back, as a store that evicts does: the others are put back. */
async function forget(store: OnlineStore, plan: ViewPlan, keys: readonly EntityKey[], gone: EntityKey): Promise<void> {
  const online = [...new Set(keys)].map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key }))
  const stored = await store.read(online)
  await store.removeView(plan.id, checkpointKey(plan.id))
  const kept = online.flatMap((key, i) => (stored[i] && key.key !== gone ? [{ ...key, expected: null, bytes: stored[i] }] : []))
  expect(await store.write(kept)).toEqual(kept.map(() => true))
}

/** A transaction of its own that has written, and so holds back what commits after it began. */
async function openTransaction() {
  const client = new Client({ connectionString: fixture().databaseUrl })
  await client.connect()
  await client.query('begin')
  await client.query('select pg_current_xact_id()')
  return {
    query: (sql: string) => client.query(sql),
    async commit() {
      await client.query('commit')
      await client.end()
    },
  }
}
