import { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { allBelow, noTransactions, oneTransaction, union } from '../../kernel/states/frontier.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { createArrivals } from '../../materializer/arrivals.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { freshView, many, materializerFixture, moment } from './fixture.ts'

const fixture = materializerFixture()

describe('the rows that a run reads', () => {
  it('are those of visible and unknown transactions, in any position', async () => {
    const { db } = fixture().open('embedded')
    const { table, plan } = await freshView(db)
    for (let i = 0; i < 6; i++) await table.insert(many(i + 1))
    const rows = await db.query<{ xid: string }>(`select distinct _xid::text::int8 as xid from ${table.name} order by 1`)
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = rows.map(({ xid }) => Number(xid))
    const read = (seen: Frontier, known: Frontier): Promise<number> =>
      db.snapshot(async (snapshot) => {
        const { xmax } = snapshot.bounds
        let total = 0
        const arrivals = createArrivals({ snapshot, plan, seen, xmax })
        for await (const batch of arrivals(known)) total += batch.length
        return total
      })
    const all = allBelow(f + 1)
    expect(await read(all, noTransactions)).toBe(1 + 2 + 3 + 4 + 5 + 6)
    expect(await read(all, allBelow(c))).toBe(3 + 4 + 5 + 6)
    expect(await read(all, [oneTransaction(c), oneTransaction(e)].reduce(union, allBelow(b)))).toBe(2 + 4 + 6)
    expect(await read([oneTransaction(d), oneTransaction(f)].reduce(union, allBelow(c)), allBelow(b))).toBe(2 + 4 + 6)
    expect(await read(allBelow(a), noTransactions)).toBe(0)
    expect(await read(all, all)).toBe(0)
  })

  it('are not read again while a transaction is open', async () => {
    const { db, store } = fixture().open('embedded')
    const { table, plan } = await freshView(db)
    const open = new Client({ connectionString: fixture().databaseUrl })
    await open.connect()
    await open.query('begin')
    await open.query(table.insertSql(many(3)))
    const read: number[] = []
    for (const rows of [500, 20, 0, 20]) {
      await table.insert(many(rows))
      let met = 0
      await materializeView(db, store, plan, { moment, onProgress: (progress) => (met = progress.rows) })
      read.push(met)
    }
    await open.query('commit')
    await open.end()
    expect(read).toEqual([500, 20, 0, 20])
    expect(await materializeView(db, store, plan, { moment })).toMatchObject({ rows: 3 })
  })
})
