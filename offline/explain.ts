import type { Queryable } from '../runtime/postgres/relation.ts'

/** PostgreSQL's plan of a query, which is not run. */
export interface Explained {
  readonly rows: number
  /** For each scan of a table: its condition on an index; empty if it reads all rows. */
  readonly lookups: readonly string[]
  /** `schema.table` of every table that it reads, through views too. */
  readonly relations: ReadonlySet<string>
  /** The plan itself, as JSON. */
  readonly plan: string
}

export async function explain(db: Queryable, select: string): Promise<Explained> {
  const [row] = await db.query<{ 'QUERY PLAN': unknown }>(`EXPLAIN (VERBOSE, FORMAT JSON) ${select}`)
  const found = row?.['QUERY PLAN']
  const plans: unknown = typeof found === 'string' ? JSON.parse(found) : found
  const top = Array.isArray(plans) ? field(plans[0], 'Plan') : undefined
  const rows = field(top, 'Plan Rows')
  const relations = new Set<string>()
  const lookups: string[] = []
  for (const node of nodes(top)) {
    const name = field(node, 'Relation Name')
    if (typeof name !== 'string') continue
    relations.add(`${String(field(node, 'Schema'))}.${name}`)
    const condition = field(node, 'Index Cond') ?? field(node, 'Recheck Cond')
    lookups.push(typeof condition === 'string' ? condition : '')
  }
  return { rows: typeof rows === 'number' ? rows : 0, lookups, relations, plan: JSON.stringify(plans) }
}

function* nodes(node: unknown): Generator<unknown> {
  yield node
  const children = field(node, 'Plans')
  if (Array.isArray(children)) for (const child of children) yield* nodes(child)
}

function field(node: unknown, name: string): unknown {
  return typeof node === 'object' && node !== null ? Object.entries(node).find(([key]) => key === name)?.[1] : undefined
}
