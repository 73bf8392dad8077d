import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { isRecord } from '../../kernel/is-record.ts'
import type { LockstepTables } from '../../migrations/schema.ts'

/** The number of rows that a backfill reads. */
export interface RowEstimate {
  readonly rows: number
  /** Whether the rows were counted; otherwise it is the planner's estimate. */
  readonly exact: boolean
  /** About how many bytes these rows have, by PostgreSQL's statistics. */
  readonly bytes: number
}

/** If the planner estimates at most this many rows, they are counted. */
const countUpTo = 200_000

/** How many tables one statement reads: it locks all of them. */
const tablesAtOnce = 50

/**
 * The number of rows of a table (counted if they are few) or of a query (which never runs).
 *
 * @param relation the text after FROM, as `sourceRelation` writes it
 */
export async function estimateRows(handle: Kysely<LockstepTables>, relation: string, isQuery: boolean): Promise<RowEstimate> {
  if (!isQuery) return (await estimateTables(handle, [relation])).get(relation) ?? noRows
  const root = planOf(await sql.raw<Explained>(`explain (format json) select * from ${relation} _`).execute(handle))
  const { rows, width } = planned(root)
  return { rows, exact: false, bytes: rows * width }
}

/** As `estimateRows`, of several tables, by relation. */
export async function estimateTables(handle: Kysely<LockstepTables>, relations: readonly string[]): Promise<Map<string, RowEstimate>> {
  const estimates = new Map<string, RowEstimate>()
  for (let from = 0; from < relations.length; from += tablesAtOnce) {
    const some = relations.slice(from, from + tablesAtOnce)
    const plans = await explainTables(handle, some)
    const few = some.filter((_, i) => (plans[i]?.rows ?? 0) <= countUpTo)
    const counts = await countRows(handle, few)
    for (const [i, relation] of some.entries()) {
      const { rows: estimate, width } = plans[i] ?? { rows: 0, width: 0 }
      const counted = counts.get(relation)
      const rows = counted ?? estimate
      estimates.set(relation, { rows, exact: counted !== undefined, bytes: rows * width })
    }
  }
  return estimates
}

export const noRows: RowEstimate = { rows: 0, exact: true, bytes: 0 }

/** The planner's estimates, by index. Each table is a materialized query of its own, so the planner plans it alone. */
async function explainTables(handle: Kysely<LockstepTables>, relations: readonly string[]): Promise<Estimate[]> {
  const name = (i: number): string => `lockstep_estimate_${i}`
  const queries = relations.map((relation, i) => `${name(i)} as materialized (select * from ${relation} _)`)
  const uses = relations.map((_, i) => `exists (select from ${name(i)})`)
  const explained = await sql.raw<Explained>(`explain (format json) with ${queries.join(', ')} select ${uses.join(', ')}`).execute(handle)
  const root = planOf(explained)
  const parts: readonly unknown[] = isRecord(root) && Array.isArray(root['Plans']) ? root['Plans'] : []
  const byName = new Map(parts.filter(isRecord).map((part) => [part['Subplan Name'], part]))
  return relations.map((_, i) => planned(byName.get(`CTE ${name(i)}`)))
}

async function countRows(handle: Kysely<LockstepTables>, relations: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (relations.length === 0) return new Map()
  const counts = relations.map((relation) => `(select count(*)::text from ${relation})`)
  const { rows } = await sql.raw<{ counts: string[] }>(`select array[${counts.join(', ')}] as counts`).execute(handle)
  return new Map(relations.map((relation, i) => [relation, Number(rows[0]?.counts[i])]))
}

/**
 * Rows per second of a run if no earlier run was measured: 300,000 rows of a view with four features took 1.5 s on two
 * cores.
 */
const defaultRate = 200_000

/**
 * Rows per second of this installation's runs, from the newest runs that were long enough to measure.
 */
export async function readFoldRate(handle: Kysely<LockstepTables>): Promise<number> {
  const { rows } = await sql<{ rate: number | null }>`
    select (sum(rows) / nullif(sum(extract(epoch from finished_at - started_at)), 0))::float8 as rate
    from (select * from lockstep.materialization_runs where rows >= 10000 and finished_at is not null order by id desc limit 20) r`.execute(
    handle,
  )
  return rows[0]?.rate ?? defaultRate
}

interface Explained {
  readonly 'QUERY PLAN': unknown
}

/** The root of a plan. */
function planOf({ rows }: { readonly rows: readonly Explained[] }): unknown {
  const plan = rows[0]?.['QUERY PLAN']
  const parsed: unknown = typeof plan === 'string' ? JSON.parse(plan) : plan
  const root: unknown = Array.isArray(parsed) ? parsed[0] : null
  return isRecord(root) ? root['Plan'] : null
}

interface Estimate {
  readonly rows: number
  readonly width: number
}

function planned(node: unknown): Estimate {
  return isRecord(node) ? { rows: Number(node['Plan Rows']), width: Number(node['Plan Width']) } : { rows: 0, width: 0 }
}
