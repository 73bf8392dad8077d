import { LockstepError } from '../kernel/errors.ts'
import type { Snapshot } from '../runtime/database.ts'

const tablesWithArrivals = `
  select format('%I.%I', n.nspname, c.relname) as relation
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  where a.attname = '_xid' and a.atttypid = 'xid8'::regtype and not a.attisdropped and c.relkind in ('r', 'p') and not c.relispartition
    and has_table_privilege(c.oid, 'select')
  order by 1`

/**
 * The error for rows that this database cannot have written. It has the statement for each table that has such rows, as
 * a dump brings those of all sources.
 *
 * @param relation the table whose row was met, as it stands in SQL
 */
export async function foreignRows(snapshot: Pick<Snapshot, 'query' | 'bounds'>, relation: string, xid: number): Promise<LockstepError> {
  const { xmax } = snapshot.bounds
  const relations: string[] = []
  for (const table of await snapshot.query<{ relation: string }>(tablesWithArrivals)) {
    const [row] = await snapshot.query<{ found: boolean }>(
      `select exists (select from ${table.relation} where _xid >= '${xmax}'::xid8) as found`,
    )
    if (row?.found === true) relations.push(table.relation)
  }
  const statements = relations.map((table) => `update ${table} set _xid = pg_current_xact_id();`)
  return new LockstepError(
    'INVALID_ROW',
    `The table ${relation} has rows of transaction ${xid} in "_xid", but this database has only reached ${xmax}: it was restored from a dump of another database. Mark the rows as arrived here, in all such tables (${statements.join(' ')}), then run "lockstep materialize --rebuild".`,
    { details: { tables: relations, statements } },
  )
}
