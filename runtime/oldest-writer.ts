import type { Database } from './database.ts'

/** A transaction that has written, or may yet: as long as it is open, nobody can tell whether what it wrote will count. */
export interface OldestWriter {
  /** The server's process; null of a prepared transaction, which has none. */
  readonly pid: number | null
  /** What its client calls itself; of a prepared transaction, its name. */
  readonly application: string
  readonly database: string
  /** `active`, `idle in transaction`, `prepared`, …; empty where this user may not see it. */
  readonly state: string
  /** How long it has been open; null where this user may not see it. */
  readonly seconds: number | null
}

/**
 * The open transaction that has been writing for longest, in any database of the server: the one that holds the snapshots' `xmin`. null where none writes. PostgreSQL
 * shows ages of other users' transactions to members of `pg_read_all_stats` alone.
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
