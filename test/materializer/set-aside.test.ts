import { expect, it } from 'vitest'
import { maxPendingRows } from '../../kernel/states/state.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { readSetAsides, setAsideKeys } from '../../materializer/set-aside.ts'
import { logOversized } from '../../materializer/runs/log-oversized.ts'
import { readOnline } from '../../online/read.ts'
import { createLogger } from '../../runtime/log.ts'
import { freshView, materializerFixture, moment } from './fixture.ts'
import type { Payment } from './payments.ts'
import { accountKey, minute, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const opened = materializerFixture()

it('an entity whose rows cannot be folded blocks no other, is retried, and recovers', async () => {
  const { db, store } = opened().open('redis')
  const {
    table,
    plan: {
      spec: { source, name },
    },
  } = await freshView(db)
  const code = '(row) => { if (row.amount === 13) throw new Error("thirteen"); return {} }'
  const plan = paymentsPlan({ name, relation: source.relation, code })
  const row = (account: string, amount: number, paidAt = moment - minute): Payment => ({
    account,
    paidAt,
    knownAt: null,
    amount,
    label: null,
  })
  const bad = ['ahead', 'thirteen', 'timeless']
  const run = async (at: number) => {
    const { entities, setAside } = await materializeView(db, store, plan, { moment: at })
    return [entities, setAside.entities]
  }
  const push = async (payments: readonly Payment[]) => {
    await table.insert(payments)
    const [last] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
    return await foldTransactions(db, store, [plan], [Number(last?.xid)], { moment })
  }
  const answered = async () => {
    const requests = ['good', ...bad].map((account) => ({ plan, key: accountKey(plan, account) }))
    return (await readOnline(store, requests, moment)).map(({ values }) => values?.values[0])
  }

  await table.insert([row('good', 1), row('thirteen', 1)])
  expect(await run(moment)).toEqual([2, 0])
  await db.script(`alter table ${table.name} alter paid_at drop not null; insert into ${table.name} (account) values ('timeless')`)
  // its key is of no entity that could be asked for
  await db.script(`insert into ${table.name} (account, paid_at) values (repeat('x', 2000), now())`)
  const ahead = Array.from({ length: maxPendingRows + 1 }, () => row('ahead', 7, moment + minute))
  await table.insert([row('good', 2), row('thirteen', 13), ...ahead])
  const first = await materializeView(db, store, plan, { moment })
  expect(first).toMatchObject({ rows: 1, entities: 1, setAside: { entities: 4 } })
  expect(first.setAside.errors.map(({ code: each }) => each).sort()).toEqual([
    'INVALID_ROW',
    'INVALID_ROW',
    'PENDING_OVERFLOW',
    'TRANSFORM_FAILED',
  ])
  expect(await answered()).toEqual([2, undefined, undefined, undefined])
  const overCap: number[] = []
  logOversized(createLogger('silent'), (_, entities) => overCap.push(entities))(plan.id, first.setAside)
  expect(overCap).toEqual([])
  const identity = await store.identity()
  expect((await readSetAsides(db, identity)).get(plan.id)).toMatchObject({
    entities: 3,
    messages: expect.arrayContaining([expect.stringMatching(/^The entity "account" = "timeless" of the view .* has no event time/)]),
  })

  // neither a push nor a run makes a state of a part of the rows
  expect(await push([row('good', 3), row('thirteen', 4)])).toMatchObject({ rows: 1, left: [plan.id] })
  expect(await push([row('new', 13)])).toMatchObject({ rows: 0, left: [plan.id] })
  expect(await run(moment)).toEqual([0, 4])
  expect(await answered()).toEqual([3, undefined, undefined, undefined])

  await db.script(`delete from ${table.name} where amount = 13 or paid_at is null`)
  expect(await run(moment)).toEqual([1, 1])
  expect(await run(moment + minute)).toEqual([1, 0])
  expect(await setAsideKeys(db, plan.id, identity)).toEqual([])
  const keys = ['good', 'new', ...bad].map((account) => accountKey(plan, account))
  const healed = await storedStates(store, plan, keys)
  await materializeView(db, store, plan, { moment: moment + minute, rebuild: true })
  const rebuilt = await storedStates(store, plan, keys)
  for (const account of ['good', 'ahead', 'thirteen'])
    expect(healed.get(accountKey(plan, account))).toBe(rebuilt.get(accountKey(plan, account)))
})

it('an entity set aside by a run that ended before recording it is retried', async () => {
  const { db, store } = opened().open('redis')
  const { table, plan: fresh } = await freshView(db)
  const { source, name } = fresh.spec
  const code = '(row) => { if (row.amount === 13) throw new Error("thirteen"); return {} }'
  const plan = paymentsPlan({ name, relation: source.relation, code })
  const paid = (account: string, amount: number): Payment => ({ account, paidAt: moment - minute, knownAt: null, amount, label: null })
  await table.insert([paid('good', 1)])
  await materializeView(db, store, plan, { moment })
  await table.insert([paid('good', 13)])
  const [last] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
  await foldTransactions(db, store, [plan], [Number(last?.xid)], { moment })
  await db.script('delete from lockstep.set_aside')

  const again = await materializeView(db, store, plan, { moment })
  expect(again.setAside.entities).toBe(1)
  expect(await setAsideKeys(db, plan.id, await store.identity())).toEqual([accountKey(plan, 'good')])
  await db.script(`update ${table.name} set amount = 3 where amount = 13`)
  await materializeView(db, store, plan, { moment })
  const [{ values } = { values: null }] = await readOnline(store, [{ plan, key: accountKey(plan, 'good') }], moment)
  expect(values?.values[0]).toBe(3)
})

it('over 1,000 entities with bad rows stop only their view, which reports a remedy', async () => {
  const { db, store } = opened().open('redis')
  const { table, plan: other } = await freshView(db)
  const code = '(row) => { if (row.amount === 13) throw new Error("thirteen"); return {} }'
  const plan = paymentsPlan({ name: `${other.spec.name}_picky`, relation: other.spec.source.relation, code })
  const row = (account: string, amount: number): Payment => ({ account, paidAt: moment - minute, knownAt: null, amount, label: null })
  const bad = Array.from({ length: 1_001 }, (_, i) => row(`bad ${i}`, 13))
  await table.insert([row('good', 1)])
  for (const each of [plan, other]) await materializeView(db, store, each, { moment })
  await table.insert([row('good', 2), ...bad])

  // a push of them holds back no other view
  const [last] = await db.query<{ xid: string }>(`select max(_xid)::text as xid from ${table.name}`)
  const folded = await foldTransactions(db, store, [plan, other], [Number(last?.xid)], { moment })
  expect(folded.left).toEqual([plan.id])
  const answer = async (of: typeof plan) =>
    (await readOnline(store, [{ plan: of, key: accountKey(of, 'good') }], moment))[0]?.values?.values[0]
  expect(await answer(other)).toBe(2)

  expect(await materializeView(db, store, other, { moment })).toMatchObject({ setAside: { entities: 0 } })
  const error: unknown = await materializeView(db, store, plan, { moment }).catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'TRANSFORM_FAILED' })
  const { message } = error as Error
  expect(message).toContain(`The rows of over 1000 entities of the view "${plan.id}" cannot be folded, so the run stopped`)
  expect(message).toMatch(/Correct or delete the rows, or raise the version.*leave such rows out: .* One of them: .*thirteen/)

  await db.script(`delete from ${table.name} where amount = 13`)
  // each run tries 1,000 of those that were set aside
  for (let runs = 0; runs < 2; runs++) await materializeView(db, store, plan, { moment })
  expect(await setAsideKeys(db, plan.id, await store.identity())).toEqual([])
  expect(await answer(plan)).toBe(2)
})
