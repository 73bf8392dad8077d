import type { Database } from './database.ts'

/** An open transaction that may have written. Until it ends, it is unknown whether its rows will be committed. */
export interface OldestWriter {
  /** The PostgreSQL process; null for a prepared transaction, which has none. */
  readonly pid: number | null
  /** The client's application name; for a prepared transaction, its name. */
  readonly application: string
  readonly database: string
  /** `active`, `idle in transaction`, `prepared`, …; empty if this user may not see it. */
  readonly state: string
  /** How long it has been open; null if this user may not see it. */
  readonly seconds: number | null
}

/**
 * The oldest open writing transaction in any database of the server, which holds back the `xmin` of snapshots. null if
 * there is none. PostgreSQL shows ages of other users' transactions only to members of `pg_read_all_stats`.
 */
export async function oldestWriter(db: Pick<Database, 'query'>): Promise<OldestWriter | null> {
  const [row] = await db.query<Omit<OldestWriter, 'seconds'> & { readonly seconds: string | null }>(`
    SELECT w.pid, w.application, w.database, w.state, extract(epoch FROM clock_timestamp() - w.since)::text AS seconds
    FROM (SELECT pid, coalesce(application_name, '') AS application, coalesce(datname::text, '') AS database, coalesce(state, '') AS state,
                 xact_start AS since, backend_xid AS xid
          FROM pg_stat_activity
          WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
          UNION ALL
          SELECT NULL, gid, database::text, 'prepared', prepared, transaction FROM pg_prepared_xacts) w
    ORDER BY age(w.xid) DESC
    LIMIT 1`)
  if (row === undefined) return null
  return { ...row, seconds: row.seconds === null ? null : Math.max(0, Number(row.seconds)) }
}
