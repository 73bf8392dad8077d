import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'

/** Facts of a table or view besides its columns. */
export interface TableFacts {
  /** `relkind` of `pg_class`: `r` for a table, `v` for a view. */
  readonly kind: string
  /** Whether it is a part of a partitioned table or of a table hierarchy. */
  readonly hasKin: boolean
  /** Whether the session may change it. */
  readonly isOurs: boolean
  readonly owner: string
  /** The session's role, if row-level security applies to it; null: it sees all rows. */
  readonly restrictedRole: string | null
  /** Whether new rows get the number of their transaction as `_xid`, by a default or perhaps by a trigger. */
  readonly recordsArrival: boolean
  readonly indexes: readonly TableIndex[]
}

interface TableIndex {
  readonly name: string
  /** The access method: `btree`. */
  readonly method: string
  /** Whether it is complete: no `create index concurrently` has failed. */
  readonly isValid: boolean
  /** Its columns and expressions as text of SQL, with `collate "C"` and `desc`. */
  readonly columns: readonly string[]
  /** The condition of a partial index; null: it has all rows. */
  readonly condition: string | null
}

/**
 * Whether an index returns all rows in the order of these columns: it has them alone or at its start.
 *
 * @param columns as in `create index`: `"card" collate "C", "paid_at"`
 */
export function hasIndexOn(facts: Pick<TableFacts, 'indexes'> | null, columns: string): boolean {
  const wanted = plainText(columns)
  return usableIndexes(facts).some(({ method, condition, columns: own }) => {
    const text = plainText(own.join(', '))
    return method === 'btree' && condition === null && (text === wanted || text.startsWith(`${wanted}, `))
  })
}

/** Whether an index finds the rows with a value in this column. */
export function findsBy(facts: Pick<TableFacts, 'indexes'> | null, column: string): boolean {
  const wanted = plainText(column)
  return usableIndexes(facts).some(({ method, condition, columns: [first = ''] }) => {
    const isFirst = plainText(first).replace(/ desc$/, '') === wanted
    // rows without a value are not looked up
    const hasAll = condition === null || plainText(condition) === `${wanted} is not null`
    return isFirst && hasAll && (method === 'btree' || method === 'hash')
  })
}

function usableIndexes(facts: Pick<TableFacts, 'indexes'> | null): readonly TableIndex[] {
  return facts?.indexes.filter(({ isValid }) => isValid) ?? []
}

/** SQL without what PostgreSQL writes in another way: quotes where a name needs none, and upper case. */
function plainText(text: string): string {
  return text.replaceAll('"', '').toLowerCase()
}

/** The facts of tables, by relation. A relation that does not exist is not in it. */
export async function readTableFacts(
  handle: Kysely<LockstepTables>,
  relations: readonly string[],
): Promise<ReadonlyMap<string, TableFacts>> {
  if (relations.length === 0) return new Map()
  const { rows } = await sql<TableFacts & { readonly relation: string }>`
    select r.relation, c.relkind as kind,
           c.relispartition or exists (select from pg_inherits where inhparent = c.oid or inhrelid = c.oid) as "hasKin",
           pg_has_role(c.relowner, 'USAGE') as "isOurs", pg_get_userbyid(c.relowner) as owner,
           case when row_security_active(c.oid) then current_user::text end as "restrictedRole",
           exists (select from pg_trigger where tgrelid = c.oid and not tgisinternal) or exists (
             select from pg_attrdef join pg_attribute on attrelid = adrelid and attnum = adnum
             where adrelid = c.oid and attname = '_xid' and pg_get_expr(adbin, adrelid) = 'pg_current_xact_id()'
           ) as "recordsArrival",
           coalesce((
             select json_agg(json_build_object(
               'name', n.relname, 'method', m.amname, 'isValid', i.indisvalid, 'condition', pg_get_expr(i.indpred, i.indrelid, true),
               'columns', (
                 select json_agg(pg_get_indexdef(i.indexrelid, k, true)
                   || case when i.indcollation[k - 1] = '"C"'::regcollation then ' collate "C"' else '' end
                   || case when i.indoption[k - 1]::int & 1 = 1 then ' desc' else '' end order by k)
                 from generate_series(1, i.indnkeyatts) k)))
             from pg_index i join pg_class n on n.oid = i.indexrelid join pg_am m on m.oid = n.relam
             where i.indrelid = c.oid), '[]') as indexes
    from (select relation, to_regclass(relation) as oid from unnest(${[...new Set(relations)]}::text[]) as relation) r
    join pg_class c on c.oid = r.oid`.execute(handle)
  return new Map(rows.map(({ relation, ...facts }) => [relation, facts]))
}
