import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { describeTable, readSourceTable } from '../../offline/rows/source-table.ts'
import { naturalType } from '../../offline/rows/sql-type.ts'
import { notPushable } from '../../registry/push-table.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'

/** How far ahead of the database's clock a process may be that writes events. */
export const maxAheadMicros = 600_000_000

/** The table of a source that accepts pushed events. */
export interface EventTable {
  readonly source: SourceSpec
  readonly columns: readonly EventColumn[]
  /**
   * Adds rows, unless the writer's clock is ahead by more than `maxAheadMicros`. $1…: for each column an array of its
   * values as texts, then one of event ids, then whether the rows are of the online store alone, then the time by the
   * writer's clock (epoch microseconds).
   */
  readonly insert: string
  /** The rows of known event ids. $1: an array of ids. */
  readonly known: string
}

export interface EventColumn {
  readonly name: string
  readonly type: ColumnType
  /** The type of the table's column, in SQL. */
  readonly sqlType: string
  /** Whether an event may send null. */
  readonly nullable: boolean
  readonly key: boolean
  /** The known time, and nothing else. */
  readonly known: boolean
}

/**
 * @throws LockstepError `NOT_PUSHABLE` where the source's table is not made yet or lacks columns that pushed events
 *   need
 */
export async function readEventTable(db: Pick<Database, 'query'>, source: SourceSpec): Promise<EventTable> {
  const { relation, types, hasRow, hasXid, hasOnlineOnly } = await tableOf(db, source)
  if (!hasRow || !hasXid || !hasOnlineOnly) {
    throw notPushable(
      source,
      `Its table ${relation} lacks columns or indexes that pushed events need. Apply the definitions again to add them.`,
    )
  }
  const declared = new Map(source.columns.map(({ name, type }) => [name, type]))
  const keys = new Set(source.key.map(({ column }) => column))
  const names = new Set([...keys, source.eventTime, ...(source.known === null ? [] : [source.known]), ...declared.keys()])
  const described = new Map((await describeTable(db, relation)).map((column) => [column.name, column]))
  const columns = [...names].flatMap((name): EventColumn[] => {
    const column = described.get(name)
    if (column?.generated !== false) return [] // the database computes it
    return [
      {
        name,
        type: declared.get(name) ?? naturalType(types.get(name) ?? ''),
        // PostgreSQL reads the text itself: a detour by another type could round it
        sqlType: column.type === 'enum' ? column.described : sqlIdentifier(column.type),
        nullable: column.nullable && name !== source.eventTime,
        key: keys.has(name),
        known: name === source.known && name !== source.eventTime && !keys.has(name) && !declared.has(name),
      },
    ]
  })
  return { source, columns, ...statements(relation, columns) }
}

async function tableOf(db: Pick<Database, 'query'>, source: SourceSpec): ReturnType<typeof readSourceTable> {
  try {
    return await readSourceTable(db, source)
  } catch (cause) {
    if (!(cause instanceof LockstepError) || cause.code !== 'SOURCE_MISSING') throw cause
    const isOwned = source.relation.kind === 'owned'
    throw notPushable(
      source,
      isOwned ? 'Its table does not exist yet. Apply the definitions with a view that reads it.' : cause.message,
      cause,
    )
  }
}

/** Texts that are cast by the database: one statement, whatever the types, and however many rows. */
function statements(relation: string, columns: readonly EventColumn[]): { insert: string; known: string } {
  const names = columns.map(({ name }) => sqlIdentifier(name))
  const values = columns.map(({ sqlType }, i) => `e.c${i}::${sqlType}`)
  const given = columns.map((_, i) => `$${i + 1}::text[]`)
  const insert = `
    WITH clock AS (SELECT $${columns.length + 3}::float8 - extract(epoch FROM statement_timestamp())::float8 * 1e6 AS ahead),
    added AS (
      INSERT INTO ${relation} (${[...names, '_event_id', '_online_only'].join(', ')})
      SELECT ${[...values, 'e.id', `$${columns.length + 2}::bool`].join(', ')}
      FROM unnest(${[...given, `$${columns.length + 1}::text[]`].join(', ')}) WITH ORDINALITY e(${[...columns.map((_, i) => `c${i}`), 'id', 'n'].join(', ')})
      WHERE (SELECT ahead FROM clock) <= ${maxAheadMicros}
      ORDER BY e.n
      ON CONFLICT (_event_id) WHERE _event_id IS NOT NULL DO NOTHING
      RETURNING _xid, _event_id
    )
    SELECT count(*)::int4 AS rows, max(_xid)::text AS xid, array_agg(_event_id) FILTER (WHERE _event_id IS NOT NULL) AS ids,
           (SELECT ahead FROM clock) AS ahead
    FROM added`
  return { insert, known: `SELECT _event_id AS id, _xid::text AS xid FROM ${relation} WHERE _event_id = ANY($1::text[])` }
}
