import type { Kysely } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Signing } from './signing.ts'
import type { SnapshotBounds } from './snapshot-bounds.ts'

/**
 * The database that holds the registry and the offline history: PostgreSQL (`openPostgres`) or the embedded PGlite (`openPglite`).
 * Every session runs with TimeZone UTC. What cannot be reached throws `POSTGRES_UNAVAILABLE` within 5 s.
 */
export interface Database {
  readonly kind: 'postgres' | 'pglite'
  readonly kysely: Kysely<LockstepTables>
  /** What definitions and models in it are signed with; absent: nothing is signed or checked. */
  readonly signing?: Signing
  /**
   * One statement; a text of several is refused. int8 comes back as string, timestamps as Date: use `tuples` for data, this for control.
   *
   * @param options.signal ends the statement, which throws the signal's reason; PGlite, whose statements block, heeds it before the statement only
   * @param options.prepared whether each connection keeps the statement parsed and planned, for one that comes again and again
   */
  query<Row = Record<string, unknown>>(sql: string, parameters?: readonly unknown[], options?: QueryOptions): Promise<Row[]>
  /** Runs several statements, separated by semicolons, as a user's schema file has them. */
  script(sql: string): Promise<void>
  /**
   * `COPY … FROM STDIN`: feeds the chunks to it in order, in one statement of its own transaction: all rows or none.
   *
   * @param around statements before and after it in its transaction
   * @returns the number of rows copied
   */
  copyIn(copy: string, chunks: AsyncIterable<Uint8Array>, around?: AroundCopy): Promise<number>
  /**
   * Runs `fn` on one frozen view of the data (REPEATABLE READ). Inside, use the snapshot alone: on PGlite there is one session, so any other call
   * waits until `fn` ends. On PostgreSQL at most 8 run at once, and others wait for their turn, so that a snapshot within a snapshot may wait for ever.
   */
  snapshot<T>(fn: (snapshot: Snapshot) => Promise<T>): Promise<T>
  /**
   * The rows of one SELECT (no parameters), in a snapshot of its own: on PostgreSQL one round trip, where `snapshot` has several. For few rows: what
   * `onBatch` does holds up the connection.
   */
  tuples(select: string, onBatch: (batch: TupleBatch) => void): Promise<void>
  /**
   * Takes the advisory lock (group, id), two int4, and holds it on a connection of its own until `release` is called or this process ends: `pg_locks` tells
   * others that somebody is there.
   *
   * @returns `release`
   */
  lock(group: number, id: number): Promise<() => Promise<void>>
  /** As `lock`, but where somebody holds it the answer is null, at once. */
  tryLock(group: number, id: number): Promise<(() => Promise<void>) | null>
  /**
   * Calls `onNotice` with what is said when somebody notifies the channel (`pg_notify`), and with null whenever it has begun to listen, for what came before was missed. On PostgreSQL on a
   * connection of its own, which is made again where it is lost; through a proxy that shares connections by transaction nothing comes.
   *
   * @param channel letters, digits and underscores
   * @returns what ends it
   */
  listen(channel: string, onNotice: (said: string | null) => void): Promise<() => Promise<void>>
  /** How many listen to a channel by `listen` now, of all processes. Those whose machine is lost count until PostgreSQL notices. */
  listeners(channel: string): Promise<number>
  ping(): Promise<void>
  /** Waits for what is under way; PostgreSQL for 2 s, after which it is ended. */
  close(): Promise<void>
}

/** The database that is one process's own. */
export interface EmbeddedDatabase extends Database {
  readonly kind: 'pglite'
  /** Runs what may be several statements, where there are no values, and gives the rows of all. */
  statements(sql: string, values?: readonly unknown[]): Promise<{ rows: unknown[] }>
}

export function isEmbedded(db: Database): db is EmbeddedDatabase {
  return db.kind === 'pglite'
}

export interface AroundCopy {
  readonly before?: readonly string[]
  /** By the number of rows copied. */
  after(rows: number): string
  /** Told what `after` gives, before the transaction is committed. */
  onRows(rows: readonly unknown[]): void
}

export interface QueryOptions {
  readonly signal?: AbortSignal | undefined
  readonly prepared?: boolean
}

export interface Snapshot {
  /** `pg_snapshot_xmin`: every row whose `_xid` is below it is committed, or never will be. */
  readonly xmin: number
  /** Which transactions had ended when it was taken. */
  readonly bounds: SnapshotBounds
  /** One statement; a text of several is refused. */
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>
  /** Streams the rows of a SELECT (no parameters: quote with runtime/sql.ts). Several streams may be read in turn, interleaved. */
  tuples(select: string, options?: StreamOptions): AsyncIterable<TupleBatch>
}

export interface StreamOptions {
  /**
   * The rows are most of a table, in another order than it holds them. PostgreSQL then sorts them, or reads an index that holds all columns, rather than look up each row
   * by an index that gives the order alone: it is told that this is dear, as it is even in memory (3,000,000 rows: 4.4 s, and 2.4 s sorted).
   */
  readonly fullScan?: boolean
  /**
   * The same data give the same rows in the same order each time, as far as the query's plan is the same: without
   * parallel workers, whose rows come as they finish, and without scans that begin where another one is.
   */
  readonly stable?: boolean
}

/**
 * Rows in PostgreSQL's binary form. A tuple starts at `starts[i]`: int16 number of fields, then for each an int32 length (-1 for NULL) and the
 * value in its type's binary send format, all big-endian. `bytes` and `starts` may be reused after the next batch is asked for: decode first.
 */
export interface TupleBatch {
  readonly bytes: Buffer
  readonly starts: readonly number[]
}
