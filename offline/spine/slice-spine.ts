import { setTimeout } from 'node:timers/promises'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier, sqlSignal, sqlText } from '../../runtime/postgres/sql.ts'
import type { SpineRange } from '../datasets/dataset-parts.ts'
import { columnSql } from './spine-sql.ts'
import type { Spine, StoredSpine } from './spine.ts'
import { ordinalColumn } from './spine.ts'

const endReadersEveryMs = 250

/**
 * A range of consecutive rows of a spine as a separate spine, renumbered. Its `drop` does nothing, because the complete
 * spine has an owner.
 */
export async function sliceSpine(
  db: Database,
  spine: StoredSpine,
  { from, to }: SpineRange,
  signal: AbortSignal | undefined,
): Promise<Spine> {
  const ordinal = sqlIdentifier(ordinalColumn)
  const columns = [`t.${ordinal} - ${from} AS ${ordinal}`, ...spine.columns.map(({ name }) => `t.${sqlIdentifier(name)}`)]
  const table = `(SELECT ${columns.join(', ')} FROM ${spine.table} t WHERE t.${ordinal} > ${from} AND t.${ordinal} <= ${to})`
  const micros = (aggregate: string): string =>
    `(extract(epoch FROM ${aggregate}(${columnSql(spine, spine.time)})) * 1000000)::text AS ${aggregate}`
  const [times] = await db.query<{ min: string | null; max: string | null }>(
    `SELECT ${micros('min')}, ${micros('max')} FROM ${table} s`,
    [],
    {
      signal,
    },
  )
  const number = (text: string | null | undefined): number | null => (text === null || text === undefined ? null : Math.round(Number(text)))
  return { ...spine, table, rows: to - from, firstTime: number(times?.min), lastTime: number(times?.max), drop: () => Promise.resolve() }
}

/** Indexes a spine, so that a range of its rows is found without reading all of them. */
export async function indexSpine(db: Database, { table }: StoredSpine, signal: AbortSignal | undefined): Promise<void> {
  await db.query(`CREATE INDEX ON ${table} (${sqlIdentifier(ordinalColumn)})`, [], { signal })
  await db.query(`ANALYZE ${table}`, [], { signal })
}

/**
 * Drops the table of a spine, if it exists, even while others read it. Sessions of Lockstep processes are ended
 * repeatedly until the table is dropped. It waits for other sessions, such as a backup.
 */
export async function dropUnderReaders(db: Database, table: string): Promise<void> {
  let dropped = false
  const dropping = db.query(`DROP TABLE IF EXISTS ${table}`).finally(() => (dropped = true))
  dropping.catch(() => undefined) // reported at the end
  while (!dropped) {
    await endReaders(db, table).catch(() => undefined)
    await Promise.race([dropping, setTimeout(endReadersEveryMs)])
  }
  await dropping
}

async function endReaders(db: Database, table: string): Promise<void> {
  await db.script(
    sqlSignal(`SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.datname = current_database() AND a.usename = current_user AND a.application_name = current_setting('application_name')
      AND l.relation = to_regclass(${sqlText(table)})::oid AND l.granted AND l.mode = 'AccessShareLock' AND l.pid <> pg_backend_pid()`),
  )
}
