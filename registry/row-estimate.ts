import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'

/** The number of rows that a backfill reads. */
export interface RowEstimate {
  readonly rows: number
  /** Whether the rows were counted; otherwise it is the planner's estimate. */
  readonly exact: boolean
}

/** If the planner estimates at most this many rows, they are counted. */
const countUpTo = 200_000

/**
 * The number of rows of a table (counted if they are few) or of a query (which never runs).
 *
 * @param relation the text after FROM, as `sourceRelation` writes it
 */
export async function estimateRows(handle: Kysely<LockstepTables>, relation: string, isQuery: boolean): Promise<RowEstimate> {
  const explained = await sql.raw<{ 'QUERY PLAN': unknown }>(`explain (format json) select * from ${relation} _`).execute(handle)
  const estimate = plannedRows(explained.rows[0]?.['QUERY PLAN'])
  if (isQuery || estimate > countUpTo) return { rows: estimate, exact: false }
  const counted = await sql.raw<{ rows: string }>(`select count(*)::text as rows from ${relation}`).execute(handle)
  return { rows: Number(counted.rows[0]?.rows), exact: true }
}

function plannedRows(plan: unknown): number {
  const parsed: unknown = typeof plan === 'string' ? JSON.parse(plan) : plan
  const root: unknown = Array.isArray(parsed) ? parsed[0] : null
  const node: unknown = typeof root === 'object' && root !== null && 'Plan' in root ? root.Plan : null
  return typeof node === 'object' && node !== null && 'Plan Rows' in node ? Number(node['Plan Rows']) : 0
}
