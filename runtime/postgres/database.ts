import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Signing } from '../signing.ts'
import type { SnapshotBounds } from './snapshot-bounds.ts'

/**
 * The database of the registry and the offline history: PostgreSQL (`openPostgres`) or the embedded PGlite
 * (`openPglite`). Every session uses the time zone UTC. If the database is unreachable, calls throw
 * `POSTGRES_UNAVAILABLE` within 5 s.
 */
export interface Database {
  readonly kind: 'postgres' | 'pglite'
  readonly kysely: Kysely<LockstepTables>
  /** The signing keys of definitions and models; absent: no signatures. */
  readonly signing?: Signing
  /**
   * Runs one statement; a text with several statements is refused. int8 is returned as string, timestamps as Date. Use
   * it for control, and `tuples` for data.
   *
   * @param options.signal cancels the statement, which throws the signal's reason. PGlite checks it only before the
   *   statement, because its statements block.
   * @param options.prepared whether each connection keeps a prepared statement, for frequent statements
   */
  query<Row = Record<string, unknown>>(sql: string, parameters?: readonly unknown[], options?: QueryOptions): Promise<Row[]>
  /** Runs several statements that are separated by semicolons, such as a user's schema file. */
  script(sql: string): Promise<void>
  /**
   * Runs `COPY … FROM STDIN` with the chunks in order, in its own transaction: all rows are copied, or none.
   *
   * @param around statements before and after it in its transaction
   * @returns the number of rows copied
   */
  copyIn(copy: string, chunks: AsyncIterable<Uint8Array>, around?: AroundCopy): Promise<number>
  /**
   * Runs `fn` on one snapshot of the data (REPEATABLE READ). Inside `fn`, use only the snapshot. PGlite has one
   * session: until `fn` ends, other readers use the same snapshot, and writers wait. On PostgreSQL at most 8 snapshots
   * run at once and others wait, so a snapshot within a snapshot may deadlock.
   */
  snapshot<T>(fn: (snapshot: Snapshot) => Promise<T>): Promise<T>
  /**
   * Reads the rows of one SELECT (no parameters) in its own snapshot. On PostgreSQL it takes one round trip, and
   * `snapshot` takes several. Use it for few rows, because `onBatch` blocks the connection.
   */
  tuples(select: string, onBatch: (batch: TupleBatch) => void): Promise<void>
  /**
   * Takes the advisory lock (group, id), two int4, and holds it on its own connection until `release` is called or this
   * process ends. Other processes see it in `pg_locks`.
   *
   * @returns `release`
   */
  lock(group: number, id: number): Promise<() => Promise<void>>
  /** Like `lock`, but returns null at once if the lock is held. */
  tryLock(group: number, id: number): Promise<(() => Promise<void>) | null>
  /**
   * Calls `onNotice` with the payload of each notification of the channel (`pg_notify`), and with null each time
   * listening starts, since earlier notifications were missed. PostgreSQL uses a separate connection, which is reopened
   * when it is lost.
   *
   * @param channel letters, digits and underscores @returns a function that stops listening
   */
  listen(channel: string, onNotice: (said: string | null) => void): Promise<() => Promise<void>>
  /**
   * How many listeners (`listen`) a channel has in all processes. Listeners on a lost machine count until PostgreSQL
   * notices.
   */
  listeners(channel: string): Promise<number>
  ping(): Promise<void>
  /**
   * Why the database, which answers, takes no writes, and what to do: it has no free disk space, it is a standby or
   * read-only, or PGlite has read for long. As of the last ping, and of the errors since; null: it takes them, as far
   * as is known. Absent: as null.
   */
  obstacle?(): string | null
  /** Waits for running statements and closes. PostgreSQL waits at most 2 s, then ends them. */
  close(): Promise<void>
}

/** The database that is one process's own. */
export interface EmbeddedDatabase extends Database {
  readonly kind: 'pglite'
  /** Runs one or more statements without parameters and returns all rows. */
  statements(sql: string, values?: readonly unknown[]): Promise<{ rows: unknown[] }>
}

export function isEmbedded(db: Database): db is EmbeddedDatabase {
  return db.kind === 'pglite'
}

export interface AroundCopy {
  readonly before?: Iterable<string>
  /** Statements between the copy and `after`. */
  readonly between?: Iterable<string>
  /** By the number of rows copied. */
  after(rows: number): string
  /** Called with the result of `after` before the commit. */
  onRows(rows: readonly unknown[]): void
}

export interface QueryOptions {
  readonly signal?: AbortSignal | undefined
  readonly prepared?: boolean
}

export interface Snapshot {
  /** `pg_snapshot_xmin`: every row whose `_xid` is below it is committed, or never will be. */
  readonly xmin: number
  /** The transactions that had ended when the snapshot was taken. */
  readonly bounds: SnapshotBounds
  /** One statement; a text of several is refused. */
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>
  /**
   * Streams the rows of a SELECT (no parameters: quote with runtime/postgres/sql.ts). Several streams may be read in
   * turn, interleaved.
   */
  tuples(select: string, options?: StreamOptions): AsyncIterable<TupleBatch>
}

export interface StreamOptions {
  /**
   * Set this if the rows are most of a table in another order. PostgreSQL then sorts, or reads a covering index,
   * instead of looking up each row through an ordering index. Lookups are slower even in memory (3,000,000 rows: 4.4 s,
   * sorted 2.4 s), so they get a higher planner cost.
   */
  readonly fullScan?: boolean
  /**
   * The same data and query plan give the same rows in the same order. It disables parallel workers and synchronized
   * scans, which change the order.
   */
  readonly stable?: boolean
  /** The query joins two large parts: they are hashed or sorted, and never compared row by row. */
  readonly largeJoin?: boolean
  /** How long PostgreSQL may take before it cancels the query (SQL state 57014). PGlite has no limit. Default: none. */
  readonly timeoutMs?: number
}

/**
 * Rows in PostgreSQL's binary form. A tuple starts at `starts[i]`: int16 number of fields, then for each an int32
 * length (-1 for NULL) and the value in its type's binary send format, all big-endian. `bytes` and `starts` may be
 * reused after the next batch is asked for: decode first.
 */
export interface TupleBatch {
  readonly bytes: Buffer
  readonly starts: readonly number[]
}
