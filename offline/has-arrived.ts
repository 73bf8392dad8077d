import type { Frontier } from '../kernel/frontier.ts'
import { endOf } from '../kernel/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/database.ts'
import { sourceRelation } from '../runtime/relation.ts'
import { arrivalCondition } from './stream-sql.ts'

/** Whether the view's source, which tells arrivals, holds committed rows of transactions that are not in `known`; also where the database has not come so far as that. */
export async function hasArrived(db: Pick<Database, 'query'>, plan: ViewPlan, known: Frontier): Promise<boolean> {
  const { below, beyond } = known
  const condition = arrivalCondition({ from: Math.max(0, below), to: Number.MAX_SAFE_INTEGER, except: beyond })
  const [row] = await db.query<{ arrived: boolean }>(
    `SELECT EXISTS (SELECT FROM ${sourceRelation(plan.spec.source)} s WHERE ${condition}) OR pg_snapshot_xmax(pg_current_snapshot())::text::int8 < ${endOf(known)} AS arrived`,
  )
  return row?.arrived === true
}
