import { describe, expect, it } from 'vitest'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { ownedTableChange } from '../../registry/changes/owned-table.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { materializerFixture, moment } from './fixture.ts'
import { paymentsPlan } from './plans.ts'

const fixture = materializerFixture()

describe('finding what has arrived', () => {
  it('does not scan a Lockstep table, with or without table statistics', async () => {
    const { db, store } = fixture().open('embedded')
    const plan = paymentsPlan({ relation: { kind: 'owned' } })
    const { source, entity } = plan.spec
    const none = { source: source.name, relation: '', exists: false, hasArrival: false, columns: new Map(), facts: null }
    for (const statement of ownedTableChange(source, [entity], none)?.statements ?? []) await db.script(statement)
    // As it is right after a first load, when no statistics have been gathered.
    await db.script('alter table lockstep_source.payments set (autovacuum_enabled = off)')
    const insert = (rows: number): string =>
      `insert into lockstep_source.payments (account, paid_at, amount)
        select 'account ' || i % 1000, timestamptz '2001-01-01Z' + i * interval '1 s', i from generate_series(1, ${rows}) i`
    await db.query(insert(20_000))
    await materializeView(db, store, plan, { moment })
    for (const known of [false, true]) {
      if (known) await db.script('analyze lockstep_source.payments')
      await db.query(insert(20))
      const selects: string[] = []
      expect(await materializeView(noting(db, selects), store, plan, { moment })).toMatchObject({ rows: 20 })
      await db.query(insert(20))
      const [row] = await db.query<{ xid: string }>('select max(_xid)::text as xid from lockstep_source.payments')
      expect(await foldTransactions(noting(db, selects), store, [plan], [Number(row?.xid)], { moment })).toMatchObject({ rows: 20 })
      expect(selects.length).toBe(2)
      for (const select of selects) {
        const lines = await db.query<{ 'QUERY PLAN': string }>(`explain ${select}`)
        const text = lines.map((line) => line['QUERY PLAN']).join('\n')
        expect(text).toMatch(/(on|using) payments_arrival_/)
        expect(text).not.toContain('Seq Scan')
        expect(text).not.toContain('payments_visible_')
      }
    }
  })
})

/** The database, noting which rows it is asked for. */
function noting(db: Database, selects: string[]): Database {
  return {
    ...db,
    tuples: (select, onBatch) => {
      selects.push(select)
      return db.tuples(select, onBatch)
    },
    snapshot: (fn) =>
      db.snapshot((snapshot) =>
        fn({
          ...snapshot,
          tuples: (select, options) => {
            selects.push(select)
            return snapshot.tuples(select, options)
          },
        }),
      ),
  }
}
