import type { RawBuilder } from 'kysely'
import { sql } from 'kysely'
import type { Database } from '../../runtime/postgres/database.ts'

type Handle = Pick<Database, 'kysely'>

/** A transaction deletes at most so many alerts, with their deliveries. */
const maxDeleted = 1_000

/**
 * Deletes alerts that were resolved more than `retentionDays` ago, with their deliveries, and silences and
 * notifications of tests that ended then. A delivery that is still open keeps its alert, and the silences that it may
 * have waited for.
 *
 * @returns the number of deleted alerts
 */
export async function forgetAlerts(db: Handle, retentionDays: number): Promise<number> {
  const limit = sql`now() - make_interval(days => ${retentionDays}::int)`
  const alerts = await deleteAll(
    db,
    sql`lockstep.alerts`,
    sql`a where a.state = 'resolved' and a.resolved < (extract(epoch from ${limit}) * 1000000)::bigint
      and not exists (select from lockstep.alert_deliveries d where d.alert = a.id and d.state = 'open')
      order by a.resolved`,
  )
  await deleteAll(db, sql`lockstep.alert_deliveries`, sql`d where d.alert is null and d.ended_at < ${limit}`)
  await deleteAll(
    db,
    sql`lockstep.alert_silences`,
    sql`s where s.ends_at < ${limit} and not exists (
      select from lockstep.alert_deliveries d join lockstep.alerts a on a.id = d.alert where d.state = 'open' and a.monitor = s.monitor
    )`,
  )
  return alerts
}

/** @param which the conditions of the rows to delete */
async function deleteAll({ kysely }: Handle, table: RawBuilder<unknown>, which: RawBuilder<unknown>): Promise<number> {
  for (let total = 0; ;) {
    // servers of other machines delete, too
    const { numAffectedRows = 0n } = await sql`
      delete from ${table} where id in (select id from ${table} ${which} limit ${maxDeleted} for update skip locked)`.execute(kysely)
    total += Number(numAffectedRows)
    if (numAffectedRows < maxDeleted) return total
  }
}
