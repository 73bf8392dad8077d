import { LockstepError } from '../../kernel/errors.ts'
import type { Snapshot } from '../../runtime/postgres/database.ts'

/** Absent `indexed`: all tables. With it, only those in which an index on `_xid` finds such rows at once. */
async function tablesWithForeignRows(db: Pick<Snapshot, 'query'>, indexed = false): Promise<string[]> {
  const tables = await db.query<{ relation: string }>(`
    select format('%I.%I', n.nspname, c.relname) as relation
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where a.attname = '_xid' and a.atttypid = 'xid8'::regtype and not a.attisdropped and c.relkind in ('r', 'p') and not c.relispartition
      and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
      and (${!indexed} or exists (select from pg_index i where i.indrelid = c.oid and i.indkey[0] = a.attnum and i.indpred is null))
    order by 1`)
  const found: string[] = []
  for (const { relation } of tables) {
    // in one statement: a row that it sees was written before its own snapshot
    const [row] = await db.query<{ found: boolean }>(
      `select exists (select from ${relation} where _xid >= pg_snapshot_xmax(pg_current_snapshot())) as found`,
    )
    if (row?.found === true) found.push(relation)
  }
  return found
}

function statementsFor(tables: readonly string[]): string[] {
  return tables.map((table) => `update ${table} set _xid = pg_current_xact_id();`)
}

/**
 * The advice for tables with an index on `_xid` that have rows which this database cannot have written; null: there are
 * none.
 */
export async function foreignRowsAdvice(db: Pick<Snapshot, 'query'>): Promise<string | null> {
  const statements = statementsFor(await tablesWithForeignRows(db, true))
  if (statements.length === 0) return null
  return `Tables have rows of transactions in "_xid" that it has not reached, as it was restored from a dump of another database. Mark the rows as arrived here (${statements.join(' ')}), then run "lockstep materialize --rebuild".`
}

/**
 * The error for rows that this database cannot have written. It has the statement for each table that has such rows, as
 * a dump brings those of all sources.
 *
 * @param relation the table whose row was met, as it stands in SQL
 */
export async function foreignRows(snapshot: Pick<Snapshot, 'query' | 'bounds'>, relation: string, xid: number): Promise<LockstepError> {
  const { xmax } = snapshot.bounds
  const tables = await tablesWithForeignRows(snapshot)
  const statements = statementsFor(tables)
  return new LockstepError(
    'INVALID_ROW',
    `The table ${relation} has rows of transaction ${xid} in "_xid", but this database has only reached ${xmax}: it was restored from a dump of another database. Mark the rows as arrived here, in all such tables (${statements.join(' ')}), then run "lockstep materialize --rebuild".`,
    { details: { tables, statements } },
  )
}
