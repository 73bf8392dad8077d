import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { CursorSpec, SourceRelation, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { ownedColumnNames } from '../../kernel/specs/view-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import type { StatedCursor } from './cursor.ts'
import { cursorSpec } from './cursor.ts'
import type { Description } from './definition.ts'
import { checkBody, define, describe } from './definition.ts'
import { checkColumnName, checkFieldName, checkName } from './names.ts'
import { filesSpec } from './parquet-files.ts'
import type { StatedStream } from './stream.ts'
import { streamSpec } from './stream.ts'
import type { Types } from './t.ts'
import { checkColumnType } from './t.ts'

/** A source of rows with a time and a key: an append-only log of events. */
export interface Source<
  N extends string = string,
  K extends Readonly<Record<string, string>> = Readonly<Record<string, string>>,
  C extends Types = Types,
  E extends string = string,
  W extends string = string,
> {
  readonly kind: 'source'
  readonly name: N
  /** For each part of an entity's key, the column that holds it. */
  readonly key: K
  readonly columns: C
  /** The column with the event time of a row. */
  readonly eventTime: E
  /** The column with the time when a row could first be known; null: there is none. */
  readonly known: W | null
  readonly spec: SourceSpec
  /** The stream that feeds it, if any. */
  readonly stream: StreamSpec | null
  /** The Parquet files that feed it, if any. */
  readonly files: FilesSpec | null
  /** How Lockstep finds new rows in it, if it has a cursor. */
  readonly cursor: CursorSpec | null
  /** Whether events may be pushed into its table, which is the user's own. */
  readonly push: boolean
  readonly described: Description
}

interface SourceBody<K, C, E extends string, W extends string> extends Description {
  /** A table of yours: `flights` or `schema.flights`. */
  readonly table?: string
  /** A query of yours. Without `table` and `sql`, Lockstep creates a table for ingested and pushed rows. */
  readonly sql?: string
  /** For each part of an entity's key, the column that holds it. */
  readonly key: K
  /** The column with the event time of a row. */
  readonly eventTime: E
  /** The column with the time when a row could first be known. Default: its event time. */
  readonly known?: W
  readonly columns: C
  /**
   * Accept pushed events in a `table` of yours. `apply` adds the columns `_row`, `_xid`, `_event_id` and `_online_only`
   * to it, with indexes, and never drops them. A table that Lockstep creates always accepts events. May change without
   * a new version. Default: false.
   */
  readonly push?: boolean
  /**
   * The stream that feeds a source that accepts pushed events: `redisStream('landings')`, `natsStream({ stream:
   * 'LANDINGS' })`, `kafkaStream({ topic: 'landings' })`. May change without a new version.
   */
  readonly stream?: StatedStream
  /**
   * The Parquet files that feed a source whose table Lockstep creates: `parquetFiles('s3://lake/landings/')`. May
   * change without a new version.
   */
  readonly files?: FilesSpec
  /**
   * How Lockstep finds new rows in a table or query of yours without `_row` and `_xid`: `{ column: 'updated_at',
   * overlap: '10m' }`. Best effort; a full read once a day (`reconcile`) finds what it missed. May change without a new
   * version.
   */
  readonly cursor?: StatedCursor
}

/**
 * Declares a source. Any of its columns may be null in any row.
 *
 * @example
 * export const landings = source('landings', {
 *   table: 'flights', key: { airport: 'origin' }, eventTime: 'date', known: 'landed_at',
 *   columns: { delay: t.float64, distance: t.int32 },
 * })
 * @throws LockstepError `INVALID_NAME`, `INVALID_TYPE`, `DEFINITIONS_INVALID`
 */
export function source<
  const N extends string,
  const K extends Readonly<Record<string, string>>,
  const C extends Types,
  const E extends string,
  const W extends string = never,
>(name: N, body: SourceBody<K, C, E, W>): Source<N, K, C, E, W> {
  const what = `The source "${checkName(name, 'A source')}"`
  checkBody(body, what, ['table', 'sql', 'key', 'eventTime', 'known', 'columns', 'push', 'stream', 'files', 'cursor'])
  const key = Object.entries(body.key ?? {}).map(([part, column]) =>
    Object.freeze({
      part: checkFieldName(part, `A key part of source "${name}"`),
      column: checkColumnName(column, `The column of key "${part}" of source "${name}"`),
    }),
  )
  const columns = Object.entries(body.columns ?? {}).map(([column, type]) => {
    const place = `The column "${column}" of source "${name}"`
    return Object.freeze({ name: checkColumnName(column, place), type: checkColumnType(type, place) })
  })
  const relation = relationOf(body, what)
  const push = checkPush(body.push, relation, what)
  if (relation.kind === 'owned' || push) {
    for (const column of [...columns.map((c) => c.name), ...key.map((k) => k.column), body.eventTime, body.known]) {
      if (column !== undefined && systemColumnNames.includes(column)) {
        throw new LockstepError(
          'INVALID_NAME',
          `${what} has a column "${column}", a name that PostgreSQL reserves in every table; choose another.`,
        )
      }
      if (column !== undefined && ownedColumnNames.includes(column)) {
        throw new LockstepError(
          'INVALID_NAME',
          `${what} has a column "${column}", a name that Lockstep reserves in the tables that it writes to; choose another.`,
        )
      }
    }
  }
  const spec: SourceSpec = {
    name,
    relation,
    key: Object.freeze(key),
    eventTime: checkColumnName(body.eventTime, `The eventTime of source "${name}"`),
    known: body.known === undefined ? null : checkColumnName(body.known, `The known of source "${name}"`),
    columns: Object.freeze(columns),
  }
  const stream = checkStream(body.stream, relation, push, name)
  return define({
    kind: 'source',
    name,
    key: Object.freeze({ ...body.key }),
    columns: Object.freeze({ ...body.columns }),
    eventTime: body.eventTime,
    known: body.known ?? null,
    spec: Object.freeze(spec),
    stream,
    files: filesSpec(body.files, relation, stream, name),
    cursor: cursorSpec(body.cursor, relation, push, name),
    push,
    described: describe(body, what),
  })
}

const systemColumnNames: readonly string[] = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']

function checkPush(push: unknown, relation: SourceRelation, what: string): boolean {
  if (push === undefined || push === false) return false
  if (push !== true) throw new LockstepError('DEFINITIONS_INVALID', `${what} has the push ${show(push)}; write true or false.`)
  if (relation.kind === 'table') return true
  const why =
    relation.kind === 'sql'
      ? 'is a query, into which no events can be pushed. Remove push, and write to the tables behind it'
      : 'always accepts pushed events, because Lockstep creates its table. Remove push'
  throw new LockstepError('DEFINITIONS_INVALID', `${what} ${why}.`)
}

function checkStream(stream: StatedStream | undefined, relation: SourceRelation, push: boolean, name: string): StreamSpec | null {
  if (stream === undefined) return null
  if (relation.kind !== 'owned' && !push) {
    const [reads, advice] =
      relation.kind === 'table'
        ? ['a table', 'Add push: true, or remove "table" or the stream']
        : ['a query', 'Remove "sql", or the stream']
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The source "${name}" reads ${reads} of your own, but a stream feeds only sources that accept pushed events. ${advice}.`,
    )
  }
  return streamSpec(stream, name)
}

function relationOf(body: { readonly table?: string; readonly sql?: string }, what: string): SourceRelation {
  if (body.table !== undefined && body.sql !== undefined) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} has both a table and a query. Give one of them, or neither for a table that Lockstep creates.`,
    )
  }
  if (body.table !== undefined) {
    if (typeof body.table !== 'string' || !/^[^.\0]+(\.[^.\0]+)?$/.test(body.table)) {
      throw new LockstepError('INVALID_NAME', `${what} has the table "${String(body.table)}"; write it as "flights" or "schema.flights".`)
    }
    return Object.freeze({ kind: 'table', table: body.table })
  }
  if (body.sql !== undefined) {
    const sql = typeof body.sql === 'string' ? body.sql.trim().replace(/;$/, '').trimEnd() : ''
    if (sql === '') throw new LockstepError('DEFINITIONS_INVALID', `${what} has an empty query; write a SELECT, or remove sql.`)
    return Object.freeze({ kind: 'sql', sql })
  }
  return Object.freeze({ kind: 'owned' })
}
