import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'

/** What PostgreSQL knows of a table or view besides its columns. */
export interface TableFacts {
  /** `relkind` of `pg_class`: `r` for a table, `v` for a view. */
  readonly kind: string
  /** Whether it is a part of a partitioned table or of a table hierarchy. */
  readonly hasKin: boolean
  /** Whether the session may change it. */
  readonly isOurs: boolean
  readonly owner: string
  readonly indexes: readonly TableIndex[]
}

interface TableIndex {
  readonly name: string
  /** The first column; null: the index begins with an expression. */
  readonly column: string | null
  readonly isPartial: boolean
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
           coalesce((
             select json_agg(json_build_object('name', n.relname, 'column', a.attname, 'isPartial', i.indpred is not null))
             from pg_index i join pg_class n on n.oid = i.indexrelid
             left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where i.indrelid = c.oid), '[]') as indexes
    from (select relation, to_regclass(relation) as oid from unnest(${[...new Set(relations)]}::text[]) as relation) r
    join pg_class c on c.oid = r.oid`.execute(handle)
  return new Map(rows.map(({ relation, ...facts }) => [relation, facts]))
}
