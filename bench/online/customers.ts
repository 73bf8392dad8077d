import { join } from 'node:path'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { migrateDatabase } from '../../runtime/postgres/migrated.ts'

/** The current time of the bench, epoch microseconds: all rows are older. */
export const moment = Date.UTC(2026, 0, 8) * 1000
export const latestViews = ['customer_profile', 'customer_account', 'customer_device', 'customer_offer']
export const windowedView = 'customer_spending'
export const views = [...latestViews, windowedView]

/**
 * Fills the tables of the definitions. Views of latest values get one row for each customer. Views with windows get
 * three to seven, each in its own hour within seven days. Customers come in no particular order.
 */
export async function fillTables(db: Database, customers: number): Promise<void> {
  await migrateDatabase(db.kysely)
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'definitions.ts')))
  const inNoOrder = `(select n from generate_series(1, ${customers}) n order by hashint4(n)) m`
  for (const [i, table] of ['profiles', 'accounts', 'devices', 'offers'].entries()) {
    await db.query(`insert into lockstep_source.${table} (customer, at, a, b, c, d, e, f, g, h, i, j)
      select n, timestamptz '2026-01-07' + hashint8(n + ${i}) % 86400000 * interval '1 ms' / 2 - interval '12 hours',
        n * 0.37, n * 1.7 + ${i}, sqrt(n), n / 7.0, 1.0 / n, n % 120, hashint4(n), hashint8extended(n, 0), n % 2 = 0, 'segment ' || n % 50
      from ${inNoOrder}`)
  }
  await db.query(`insert into lockstep_source.payments (customer, at, amount)
    select n, timestamptz '2026-01-07 23:00Z' - ((n + k * 23) % 160) * interval '1 hour' + (hashint8(n * 8 + k) & 2097151) * interval '1 ms', n % 1000 * 0.25 + k
    from ${inNoOrder} cross join generate_series(0, 6) k where k < 3 + n % 5`)
  for (const table of ['profiles', 'accounts', 'devices', 'offers', 'payments']) await db.query(`vacuum analyze lockstep_source.${table}`)
}
