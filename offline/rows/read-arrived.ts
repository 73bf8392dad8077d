import type { Frontier } from '../../kernel/states/frontier.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { SourceRow } from './row-decoder.ts'
import { prepareStream } from './source-stream.ts'
import type { SourceTable } from './source-table.ts'
import { readSourceTable } from './source-table.ts'
import { arrivalCondition, arrivalRange } from './stream-sql.ts'
import { upperBound } from '../../kernel/states/frontier.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'

/** The described tables of sources, by database. A changed source is a new `SourceSpec`. */
const tablesOf = memoizeWeak((_db: Database) => new WeakMap<SourceSpec, Promise<SourceTable>>())

/**
 * The rows that these transactions wrote to the source that all `plans` share, including rows of the online store
 * alone, ordered and delivered as by `sourceRows`. One round trip, for few rows.
 *
 * @returns null where there are more than `maxRows`
 * @throws LockstepError as `sourceRows`
 */
export async function readArrived(
  db: Database,
  plans: readonly ViewPlan[],
  transactions: Frontier,
  maxRows: number,
): Promise<readonly SourceRow[] | null> {
  const arrival = arrivalRange(transactions)
  const [plan] = plans
  if (arrival === null || plan === undefined) return []
  const { source } = plan.spec
  const table = await tableOf(db, source)
  const { sql, decode } = prepareStream(table, plans, { arrival, withXid: true, onlineOnly: true, tolerant: () => undefined })
  const rows: SourceRow[] = []
  let total = 0
  await db
    .tuples(sql, (batch) => {
      total += batch.starts.length
      if (total <= maxRows) for (const row of decode(batch)) rows.push(row)
    })
    .catch((error: unknown) => {
      // its columns may have changed
      tablesOf(db).delete(source)
      throw error
    })
  return total > maxRows ? null : rows
}

function tableOf(db: Database, source: SourceSpec): Promise<SourceTable> {
  const tables = tablesOf(db)
  let table = tables.get(source)
  if (table === undefined) {
    table = readSourceTable(db, source)
    tables.set(source, table)
    table.catch(() => tables.delete(source))
  }
  return table
}

/**
 * Whether the view's source, which has arrival columns, holds committed rows of transactions that are not in `known`.
 * Also true where the database has not reached `known` yet, as after it was restored.
 */
export async function hasArrived(db: Pick<Database, 'query'>, plan: ViewPlan, known: Frontier): Promise<boolean> {
  const { below, beyond } = known
  const condition = arrivalCondition({ from: Math.max(0, below), to: Number.MAX_SAFE_INTEGER, except: beyond })
  const [row] = await db.query<{ arrived: boolean }>(
    `SELECT EXISTS (SELECT FROM ${sourceRelation(plan.spec.source)} s WHERE ${condition}) OR pg_snapshot_xmax(pg_current_snapshot())::text::int8 < ${upperBound(known)} AS arrived`,
  )
  return row?.arrived === true
}
