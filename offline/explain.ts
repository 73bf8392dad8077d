import type { Queryable } from '../runtime/relation.ts'

/** What the planner says about a query, without running it. */
export interface Explained {
  readonly rows: number
  /** `schema.table` of every table that it reads, through views too. */
  readonly relations: ReadonlySet<string>
}

export async function explain(db: Queryable, select: string): Promise<Explained> {
  const [row] = await db.query<{ 'QUERY PLAN': unknown }>(`EXPLAIN (VERBOSE, FORMAT JSON) ${select}`)
  const found = row?.['QUERY PLAN']
  const plans: unknown = typeof found === 'string' ? JSON.parse(found) : found
  const top = Array.isArray(plans) ? field(plans[0], 'Plan') : undefined
  const rows = field(top, 'Plan Rows')
  const relations = new Set<string>()
  collect(top, relations)
  return { rows: typeof rows === 'number' ? rows : 0, relations }
}

function collect(node: unknown, relations: Set<string>): void {
  const name = field(node, 'Relation Name')
  if (typeof name === 'string') relations.add(`${String(field(node, 'Schema'))}.${name}`)
  const children = field(node, 'Plans')
  if (Array.isArray(children)) for (const child of children) collect(child, relations)
}

function field(node: unknown, name: string): unknown {
  return typeof node === 'object' && node !== null ? Object.entries(node).find(([key]) => key === name)?.[1] : undefined
}
