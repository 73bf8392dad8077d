import fc from 'fast-check'
import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { covers, parseFrontier } from '../../kernel/states/frontier.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { HistoryRequest } from '../../offline/history.ts'
import { readHistory } from '../../offline/history.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import { readOnline } from '../../online/read.ts'
import { freshView, materializerFixture, moment, storeKinds } from '../materializer/fixture.ts'
import { accountKey, minute, payment } from '../materializer/payments.ts'
import { paymentsPlan } from '../materializer/plans.ts'

const fixture = materializerFixture()
const accounts = ['a', 'b', 'c', 'é', '}{']

describe.each(storeKinds)('an answer of the %s store', (kind) => {
  it('equals the offline history at its moment and frontier, after any later arrivals', async () => {
    const { db, store } = fixture().open(kind)
    const step = fc.record({
      payments: fc.array(payment, { minLength: 1, maxLength: 5 }),
      next: fc.constantFrom('fold', 'run', 'nothing', 'late'),
      minutes: fc.integer({ min: 0, max: 900 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 8 }), async (steps) => {
        const { table, plan } = await freshView(db)
        const world = paymentsPlan({ name: `${table.name}_world`, relation: plan.spec.source.relation, world: true })
        for (const each of [plan, world]) await materializeView(db, store, each, { moment })
        const open = new Client({ connectionString: fixture().databaseUrl })
        await open.connect()
        await open.query('begin')
        const read: { readonly request: HistoryRequest; readonly answer: OnlineAnswer }[] = []
        for (const { payments, next, minutes } of steps) {
          if (next === 'late') await open.query(table.insertSql(payments))
          else await db.query(table.insertSql(payments))
          const [row] = await db.query<{ xid: string }>(`select coalesce(max(_xid::text::int8), 3)::text as xid from ${table.name}`)
          if (next === 'fold') await foldTransactions(db, store, [plan, world], [Number(row?.xid)], { moment })
          if (next === 'run') await materializeView(db, store, plan, { moment })
          const asOf = moment + minutes * minute
          const asked = [{ plan: world, key: '' }, ...accounts.map((account) => ({ plan, key: accountKey(plan, account) }))]
          const answers = await readOnline(store, asked, asOf)
          for (const [i, answer] of answers.entries()) {
            const each = asked[i]
            if (each === undefined || answer.frontier === null || answer.values === null) continue
            const { values, statuses, eventTime } = answer.values
            const kept = { values: [...values], statuses: [...statuses], eventTime }
            read.push({ request: { ...each, asOf, frontier: answer.frontier }, answer: { ...answer, values: kept } })
          }
        }
        await open.query('commit')
        await open.end()
        const history = await readHistory(
          db,
          read.map(({ request }) => request),
        )
        expect(history).toEqual(read.map(({ answer }) => answer.values))
      }),
      { numRuns: 8 },
    )
  })

  it('differs from the complete history if it did not know all of it', async () => {
    const { db, store } = fixture().open(kind)
    const { table, plan } = await freshView(db)
    const at = { account: 'a', paidAt: moment - minute, knownAt: null, label: null }
    await table.insert([{ ...at, amount: 1 }])
    await materializeView(db, store, plan, { moment })
    const [answer] = await readOnline(store, [{ plan, key: accountKey(plan, 'a') }], moment)
    await table.insert([{ ...at, amount: 2 }])
    const request = { plan, key: accountKey(plan, 'a'), asOf: moment }
    const frontier = answer?.frontier ?? parseFrontier('0')
    expect(covers(frontier, 2 ** 50)).toBe(false)
    const values = await readHistory(db, [request, { ...request, frontier }, { ...request, frontier: parseFrontier('3') }])
    expect(values.map((each) => each.values[0])).toEqual([2, 1, null])
  })

  it('is refused for a table without arrivals', async () => {
    const { db } = fixture().open(kind)
    const { plan } = await freshView(db, 'plain')
    const request = { plan, key: accountKey(plan, 'a'), asOf: moment, frontier: parseFrontier('9') }
    await expect(readHistory(db, [request])).rejects.toMatchObject({ code: 'SOURCE_MISSING', message: expect.stringContaining('"_xid"') })
  })
})
