import { expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { NotKeptListener } from '../../materializer/state-writer.ts'
import { readOnline } from '../../online/read.ts'
import { freshView, materializerFixture, moment } from './fixture.ts'
import type { Payment } from './payments.ts'
import { accountKey, minute, storedStates } from './payments.ts'

const opened = materializerFixture()
const hour = 60 * minute

it('an entity over the cap blocks no other, and recovers from all its rows', async () => {
  const { db, store } = opened().open('redis')
  const { table, plan } = await freshView(db)
  const cap = (maxStateBytes: number | null): ViewPlan => ({ ...plan, upkeep: { ...plan.upkeep, maxStateBytes } })
  const rows = (account: string, count: number): Payment[] =>
    Array.from({ length: count }, (_, i) => ({ account, paidAt: moment - i * 5 * minute, knownAt: null, amount: i, label: 'x' }))
  const told: [string, number, string][] = []
  const onTooLarge: NotKeptListener = (view, { entities, errors }) => void told.push([view, entities, errors[0]?.code ?? ''])
  const push = async (of: ViewPlan, payments: readonly Payment[], at: number) => {
    await table.insert(payments)
    const [row] = await db.query<{ xid: string }>(`select max(_xid::text::int8)::text as xid from ${table.name}`)
    return await foldTransactions(db, store, [of], [Number(row?.xid)], { moment: at, onTooLarge })
  }
  const answered = async (): Promise<boolean[]> => {
    const requests = ['large', 'small'].map((account) => ({ plan, key: accountKey(plan, account) }))
    return (await readOnline(store, requests, moment + 3 * hour)).map(({ values }) => values !== null)
  }

  await table.insert([...rows('large', 20), ...rows('small', 1)])
  const first = await materializeView(db, store, cap(400), { moment })
  expect(first).toMatchObject({ rows: 1, entities: 1, tooLarge: { entities: 1 } })
  expect(first.tooLarge.errors[0]?.message).toMatch(
    /^The entity "account" = "large" of the view .* its state takes \d+ bytes, .* maxStateBytes is 400\./,
  )
  expect(await answered()).toEqual([false, true])
  expect(await push(cap(400), [...rows('large', 1), ...rows('small', 1)], moment + minute)).toMatchObject({ rows: 1, entities: 1 })
  expect(await materializeView(db, store, cap(400), { moment: moment + minute })).toMatchObject({ rows: 0, tooLarge: { entities: 0 } })
  expect(await answered()).toEqual([false, true])
  expect(told).toEqual([])
  // an hour later it is looked at again, and is as large as before
  expect(await push(cap(400), rows('large', 1), moment + hour)).toMatchObject({ rows: 0, entities: 0 })
  expect(told).toEqual([[plan.id, 1, 'STATE_TOO_LARGE']])
  expect(await answered()).toEqual([false, true])
  expect(await push(cap(100_000), rows('large', 1), moment + hour + minute)).toMatchObject({ rows: 23, entities: 1 })
  expect(await answered()).toEqual([true, true])
  const keys = ['large', 'small'].map((account) => accountKey(plan, account))
  const stored = await storedStates(store, plan, keys)
  await materializeView(db, store, plan, { moment: moment + hour + minute, rebuild: true })
  expect(stored.get(keys[0] as string)).toBe((await storedStates(store, plan, keys)).get(keys[0] as string))
})
