import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Queryable, RelationColumn } from '../../runtime/postgres/relation.ts'
import { arrivalColumns, checkQuery, sourceRelation, sourceTableName, sqlState, tableColumns } from '../../runtime/postgres/relation.ts'

/** The relation behind a source, as the database describes it. */
export interface SourceTable {
  /** The SQL after FROM. */
  readonly relation: string
  /** PostgreSQL's short type name by column; empty for a source that is a query. */
  readonly types: ReadonlyMap<string, string>
  /** Whether rows carry their identity (`_row`). */
  readonly hasRow: boolean
  /**
   * Whether rows have the transaction that wrote them (`_xid`), so that a run can read what arrived since the last one.
   */
  readonly hasXid: boolean
  /** Whether rows may be of the online store alone (`_online_only`), which offline reads leave out. */
  readonly hasOnlineOnly: boolean
}

/**
 * @throws LockstepError `SOURCE_MISSING` naming the source and the missing table or column, also one that a query
 *   names; `DEFINITIONS_INVALID` where the query is wrong in another way
 */
export async function readSourceTable(db: Queryable, source: SourceSpec): Promise<SourceTable> {
  const table = sourceTableName(source)
  if (table === null) {
    if (source.relation.kind === 'sql') await checkSourceQuery(db, source.name, source.relation.sql)
    return { relation: sourceRelation(source), types: new Map(), hasRow: false, hasXid: false, hasOnlineOnly: false }
  }
  const columns = await describeTable(db, table)
  const types = new Map(columns.map((column) => [column.name, column.type]))
  const missing = missingColumns(source, columns)
  if (missing.length > 0) {
    const names = quotedNames(missing)
    throw new LockstepError(
      'SOURCE_MISSING',
      `The table ${table} of source "${source.name}" has no column ${names}; add it to the table, or correct the definition.`,
    )
  }
  // also without `push`, which the source may have lost: the rows are of the online store alone all the same
  const hasOnlineOnly = types.get('_online_only') === 'bool' && types.get('_event_id') === 'text'
  return { relation: table, types, ...arrivalColumns(types), hasOnlineOnly }
}

/** The columns that a source has and its table lacks. */
export function missingColumns(source: SourceSpec, columns: readonly RelationColumn[]): string[] {
  const names = new Set(columns.map(({ name }) => name))
  const needed = [
    ...source.key.map((k) => k.column),
    source.eventTime,
    ...(source.known === null ? [] : [source.known]),
    ...source.columns.map((c) => c.name),
  ]
  return needed.filter((name) => !names.has(name))
}

/**
 * The columns of a table or view, in order.
 *
 * @throws LockstepError `SOURCE_MISSING` naming the relation
 */
export async function describeTable(db: Queryable, relation: string): Promise<RelationColumn[]> {
  const columns = await tableColumns(db, relation)
  if (columns !== null) return columns
  throw new LockstepError('SOURCE_MISSING', `There is no table ${relation}; create it, or correct its name.`, { details: { relation } })
}

async function checkSourceQuery(db: Queryable, source: string, query: string): Promise<void> {
  try {
    await checkQuery(db, query)
  } catch (cause) {
    const state = sqlState(cause)
    if (!state.startsWith('42')) throw cause
    const missing = state === '42P01' || state === '42703'
    throw new LockstepError(
      missing ? 'SOURCE_MISSING' : 'DEFINITIONS_INVALID',
      `The query of the source "${source}" cannot be read: ${messageOf(cause)}. ${missing ? 'Create the missing table or column, or correct' : 'Correct'} the query.`,
      { cause, details: { source } },
    )
  }
}
