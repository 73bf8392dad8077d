import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { sameType, typeName } from '../../kernel/values/value-type.ts'
import type { EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { RowEstimate } from './row-estimate.ts'
import { sha256 } from '../sha256.ts'
import { keyColumns } from './source-check.ts'
import type { DescribedTable } from './source-table.ts'

/**
 * The changes that `apply` makes to the table of a source that accepts pushed events: one that Lockstep creates, or one
 * of the user's (`planPushTable`). It never drops anything.
 */
export interface TableChange {
  readonly source: string
  readonly relation: string
  readonly kind: 'create' | 'addColumns' | 'addIndexes' | 'none'
  readonly columns: readonly string[]
  /** The names of the indexes to create. */
  readonly indexes: readonly string[]
  /** The statements, in the order in which they must run. */
  readonly statements: readonly string[]
  /**
   * The rows and bytes of a user's table that is rewritten, and about how long it is locked meanwhile; null: no row is
   * rewritten.
   */
  readonly rewrites: (RowEstimate & { readonly seconds: number }) | null
}

/**
 * The statements that change the table of an owned source to match its declaration: key columns, event and known time,
 * columns, Lockstep's own columns, and the indexes for reading and identifying rows.
 *
 * @param entities the entities of every view that reads the source, registered or declared
 * @returns null if the types of its key columns are not known: neither these entities nor its columns have them
 * @throws LockstepError `SOURCE_TYPE_MISMATCH` if two entities need different types for one key column
 */
export function ownedTableChange(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable): TableChange | null {
  const types = columnTypes(source, entities)
  if (types === null) return null
  const relation = sourceRelation(source)
  const declared = [...types].map(([name, type]) => ({ name, text: `${sqlIdentifier(name)} ${postgresTypes[type.kind]}` }))
  const wanted = [...visibleIndexes(source, entities, types), arrivalIndex(source), eventIdIndex(source)]
  const missingIndexes = wanted.filter(({ name }) => !hasIndex(table, name))
  const indexes = missingIndexes.map(({ name }) => name)
  const makeIndexes = missingIndexes.map(({ statement }) => statement)
  if (!table.exists) {
    const lines = [
      ...declared.map(({ name, text }) => (name === source.eventTime ? `${text} not null` : text)),
      ...ownedColumns.map(({ text }) => text),
    ]
    const create = `create table ${relation} (\n  ${lines.join(',\n  ')}\n)`
    return {
      source: source.name,
      relation,
      kind: 'create',
      columns: declared.map(({ name }) => name),
      indexes,
      statements: [create, ...makeIndexes],
      rewrites: null,
    }
  }
  const missing = [...declared, ...ownedColumns].filter(({ name }) => !table.columns.has(name))
  return {
    source: source.name,
    relation,
    kind: missing.length > 0 ? 'addColumns' : indexes.length > 0 ? 'addIndexes' : 'none',
    columns: missing.map(({ name }) => name),
    indexes,
    statements: [...missing.map(({ text }) => `alter table ${relation} add column ${text}`), ...makeIndexes],
    rewrites: null,
  }
}

/**
 * Lockstep's own columns of each row: the order and the transaction in which it arrived, the id with which it was
 * pushed, and whether offline reads omit it.
 */
const ownedColumns = [
  { name: '_row', text: '_row bigint generated always as identity' },
  { name: '_xid', text: '_xid xid8 not null default pg_current_xact_id()' },
  { name: '_event_id', text: '_event_id text' },
  { name: '_online_only', text: '_online_only boolean not null default false' },
]

interface Index {
  readonly name: string
  readonly statement: string
}

/** The index that finds the rows that arrived since the last run. */
export function arrivalIndex(source: SourceSpec): Index {
  return index(source, 'arrival', source.name, '(_xid)')
}

/** The index that recognizes an event that is pushed again. */
export function eventIdIndex(source: SourceSpec): Index {
  return index(source, 'event', source.name, '(_event_id) where _event_id is not null', 'unique ')
}

/** An index that returns rows by these columns. The hash in its name distinguishes it from those on other columns. */
export function visibleIndex(source: SourceSpec, columns: string): Index {
  return index(source, 'visible', columns, `(${columns})`)
}

function index(source: SourceSpec, purpose: string, hashed: string, columns: string, unique = ''): Index {
  const name = `${source.name.slice(0, 40)}_${purpose}_${sha256(hashed).slice(0, 8)}`
  return { name, statement: `create ${unique}index if not exists ${sqlIdentifier(name)} on ${sourceRelation(source)} ${columns}` }
}

export function hasIndex({ facts }: DescribedTable, name: string): boolean {
  return facts?.indexes.some((each) => each.name === name) === true
}

/** The column types, each once: key columns first, then times, then the rest. */
function columnTypes(source: SourceSpec, entities: readonly EntitySpec[]): Map<string, ColumnType> | null {
  const types = new Map<string, ColumnType>()
  const declared = new Map<string, ColumnType>(source.columns.map(({ name, type }) => [name, type]))
  for (const key of entities.flatMap((entity) => keyColumns(source, entity))) {
    const other = types.get(key.name) ?? declared.get(key.name)
    if (other !== undefined && !sameType(other, key.type)) {
      throw new LockstepError(
        'SOURCE_TYPE_MISMATCH',
        `The source "${source.name}" has the key column "${key.name}" as ${typeName(key.type)} and as ${typeName(other)}; use one type for it in entities and columns.`,
        { details: { source: source.name, column: key.name } },
      )
    }
    types.set(key.name, key.type)
  }
  for (const { column } of source.key) {
    const type = types.get(column) ?? declared.get(column)
    if (type === undefined) return null
    types.set(column, type)
  }
  types.set(source.eventTime, { kind: 'timestamp' })
  if (source.known !== null) types.set(source.known, { kind: 'timestamp' })
  for (const { name, type } of source.columns) if (!types.has(name)) types.set(name, type)
  return types
}

/**
 * The indexes that return rows by key in the order of each entity's parts (text by its bytes), then by the moment at
 * which they become visible.
 */
function visibleIndexes(source: SourceSpec, entities: readonly EntitySpec[], types: ReadonlyMap<string, ColumnType>): Index[] {
  const keys =
    entities.length === 0
      ? [source.key.map(({ column }) => column)]
      : entities.map((entity) => keyColumns(source, entity).map(({ name }) => name))
  const event = sqlIdentifier(source.eventTime)
  const visible = source.known === null ? event : `greatest(${event}, ${sqlIdentifier(source.known)})`
  const column = (name: string): string => `${sqlIdentifier(name)}${types.get(name)?.kind === 'string' ? ' collate "C"' : ''}`
  return [...new Set(keys.map((names) => [...names.map(column), visible].join(', ')))].map((parts) => visibleIndex(source, parts))
}

const postgresTypes: Readonly<Record<ColumnType['kind'], string>> = {
  bool: 'boolean',
  int32: 'integer',
  int64: 'bigint',
  float32: 'real',
  float64: 'double precision',
  string: 'text',
  timestamp: 'timestamptz',
  vector: 'real[]',
}
