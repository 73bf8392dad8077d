import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { missingColumns, readSourceTable } from '../../offline/rows/source-table.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { arrivalColumns, columnsOfTables, sourceTableName, sqlState } from '../../runtime/postgres/relation.ts'

/** A table up to this size is read without an index. */
const smallBytes = 32 * 1024 * 1024

/** Tables in which arrivals can be found. They are checked once a minute: a table seldom loses a column or an index. */
const searchable = memoizeWeak((_db: Database) => new WeakMap<ViewPlan, { readonly relation: string; readonly untilMs: number }>())
const searchableMs = 60_000

/** The tables of views' sources; null: arrivals cannot be found in it. */
export type SearchableTables = ReadonlyMap<ViewPlan, string | null>

/**
 * The tables of several views, by a few statements for all. A view is not in it if its source is missing or wrong:
 * `sourceLag` fails for it.
 */
export async function searchableTables(db: Database, plans: readonly ViewPlan[]): Promise<SearchableTables> {
  const tables = new Map<ViewPlan, string | null>()
  const unchecked: { readonly plan: ViewPlan; readonly table: string }[] = []
  for (const plan of plans) {
    const known = knownTable(db, plan)
    const table = sourceTableName(plan.spec.source)
    if (known === null && table !== null) unchecked.push({ plan, table })
    else tables.set(plan, known)
  }
  const relations = unchecked.map(({ table }) => table)
  try {
    const columns = await columnsOfTables(db, relations)
    const indexed = await tablesWithArrivals(db, relations)
    for (const { plan, table } of unchecked) {
      const described = columns.get(table)
      if (described === undefined || missingColumns(plan.spec.source, described).length > 0) continue
      const { hasRow, hasXid } = arrivalColumns(new Map(described.map(({ name, type }) => [name, type])))
      tables.set(plan, hasRow && hasXid && indexed.has(table) ? noteTable(db, plan, table) : null)
    }
  } catch (error) {
    // the name of a table is wrong, or its schema must not be used
    if (!/^(0A|42)/.test(sqlState(error))) throw error
  }
  return tables
}

/** The table of a view's source; null: arrivals cannot be found in it. */
export async function searchableTable(db: Database, plan: ViewPlan): Promise<string | null> {
  const known = knownTable(db, plan)
  if (known !== null) return known
  const { relation, hasXid, hasRow } = await readSourceTable(db, plan.spec.source)
  if (!hasXid || !hasRow || !(await tablesWithArrivals(db, [relation])).has(relation)) return null
  return noteTable(db, plan, relation)
}

/** null: it was not checked within a minute. */
function knownTable(db: Database, plan: ViewPlan): string | null {
  const known = searchable(db).get(plan)
  return known !== undefined && performance.now() < known.untilMs ? known.relation : null
}

/** @returns whether it was known */
export function forgetTable(db: Database, plan: ViewPlan): boolean {
  return searchable(db).delete(plan)
}

function noteTable(db: Database, plan: ViewPlan, relation: string): string {
  searchable(db).set(plan, { relation, untilMs: performance.now() + searchableMs })
  return relation
}

/** The tables in which arrivals can be found, by an index or because the table is small. */
async function tablesWithArrivals(db: Database, relations: readonly string[]): Promise<ReadonlySet<string>> {
  if (relations.length === 0) return new Set()
  const found = await db.query<{ relation: string }>(
    `SELECT r.relation FROM (SELECT relation, to_regclass(relation) AS oid FROM unnest($1::text[]) AS relation) r
     JOIN pg_class c ON c.oid = r.oid
     WHERE EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                   WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = '_xid')
           OR c.relkind IN ('r', 'm') AND pg_relation_size(c.oid) <= ${smallBytes}`,
    [[...new Set(relations)]],
  )
  return new Set(found.map(({ relation }) => relation))
}
