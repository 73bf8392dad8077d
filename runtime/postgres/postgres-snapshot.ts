import type { PoolClient, QueryConfig, QueryResult } from 'pg'
import { copySql, createCopyOut } from './copy-out.ts'
import type { Snapshot, StreamOptions, TupleBatch } from './database.ts'
import { oneStatement } from './one-statement.ts'
import { largeJoins, parseSnapshot, stableScans } from './snapshot-bounds.ts'
import { sqlSignal } from './sql.ts'

/** Provides separate connections for a snapshot and its streams, and explains their errors. */
export interface SnapshotConnections {
  connect(): Promise<PoolClient>
  explain(error: unknown): unknown
}

const terminateTimeoutMs = 2_000

/**
 * One connection, the leader, holds the snapshot open and exports it. Each stream imports it on a connection of its
 * own. If a stream is left early, or is still open when `fn` ends, the server terminates its session, so that a long
 * sort does not continue for nobody. If a query is running when `fn` fails, it is cancelled on the server.
 */
export async function withPostgresSnapshot<T>(connections: SnapshotConnections, fn: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const leader = await connections.connect()
  const streams: Streams = { open: new Set(), closed: false }
  let broken = false
  let asking = 0
  let last: Promise<unknown> = Promise.resolve()
  // a connection runs one query at a time
  const ask: Ask = (sql, values) => {
    const query = last.then(() => leader.query(sql, values))
    last = query.catch(() => undefined)
    return query
  }
  try {
    await leader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const { rows } = await leader.query<{ id: string; shown: string }>(
      'SELECT pg_export_snapshot() AS id, pg_current_snapshot()::text AS shown',
    )
    const { id, shown } = rows[0] ?? { id: '', shown: '' }
    const bounds = parseSnapshot(shown)
    const snapshot: Snapshot = {
      xmin: bounds.xmin,
      bounds,
      query: async <Row>(sql: string) => {
        asking++
        try {
          return (await ask(oneStatement(sql))).rows as Row[]
        } finally {
          asking--
        }
      },
      tuples: (select, options) => streamTuples(connections, { ask, id, streams }, select, options),
    }
    const result = await fn(snapshot)
    await endAll(streams)
    await ask('COMMIT')
    return result
  } catch (error) {
    broken = true
    // a query that waits, for example for a lock, would continue for nobody, and the leader could not end the streams
    if (asking > 0) await cancelQuery(connections, leader)
    await endAll(streams)
    throw connections.explain(error)
  } finally {
    leader.release(broken)
  }
}

/** Runs a query on the leader after the earlier ones. */
type Ask = (sql: string | QueryConfig, values?: unknown[]) => Promise<QueryResult>

interface Streams {
  /** Functions that end the open streams. */
  readonly open: Set<() => Promise<void>>
  /** Once it is true, no stream may start. */
  closed: boolean
}

async function endAll(streams: Streams): Promise<void> {
  streams.closed = true
  for (const end of streams.open) await end()
}

async function* streamTuples(
  connections: SnapshotConnections,
  snapshot: { ask: Ask; id: string; streams: Streams },
  select: string,
  { fullScan = false, stable = false, largeJoin = false, timeoutMs }: StreamOptions = {},
): AsyncGenerator<TupleBatch, void, undefined> {
  const client = await connections.connect()
  if (snapshot.streams.closed) {
    client.release()
    return
  }
  const copyOut = createCopyOut(copySql(select))
  let state: 'running' | 'finished' | 'ended' = 'running'
  const end = async () => {
    snapshot.streams.open.delete(end)
    if (state === 'ended') return
    const finished = state === 'finished'
    state = 'ended'
    if (finished) {
      client.release()
      return
    }
    copyOut.abort()
    client.release(true)
    // if the leader fails, the server notices the closed connection on its next write to it
    await snapshot.ask(sqlSignal(`SELECT pg_terminate_backend(${backendPid(client)}, ${terminateTimeoutMs})`)).catch(() => undefined)
  }
  snapshot.streams.open.add(end)
  try {
    const settings = [
      ...(fullScan ? ['SET LOCAL random_page_cost = 20'] : []),
      ...(stable ? [stableScans] : []),
      ...(largeJoin ? [largeJoins] : []),
      ...(timeoutMs === undefined ? [] : [`SET LOCAL statement_timeout = ${timeoutMs}`]),
    ]
    await client.query(
      ['BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', `SET TRANSACTION SNAPSHOT '${snapshot.id}'`, ...settings].join('; '),
    )
    client.query(copyOut)
    for (let batch = await copyOut.next(); batch !== null; batch = await copyOut.next()) yield batch
    await client.query('COMMIT')
    state = 'finished'
  } catch (error) {
    throw connections.explain(error)
  } finally {
    await end()
  }
}

async function cancelQuery(connections: SnapshotConnections, client: PoolClient): Promise<void> {
  const other = await connections.connect().catch(() => null)
  const cancelled = await other?.query(sqlSignal(`SELECT pg_cancel_backend(${backendPid(client)})`)).catch(() => null)
  other?.release(cancelled === null)
}

/** The process id of a connection on the server. pg has it, but its types do not. */
export function backendPid(client: object): number | null {
  return 'processID' in client && typeof client.processID === 'number' ? client.processID : null
}
