import type { CursorSpec, EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { durationText } from '../../kernel/values/duration.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { indexedColumns } from '../push-table.ts'
import type { DescribedTable } from './source-table.ts'
import { hasIndexOn } from './table-facts.ts'

/** What a scan by a cursor misses, and the indexes that make it fast. */
export function cursorNote(
  source: SourceSpec,
  entities: readonly EntitySpec[],
  table: DescribedTable,
  { column, overlapMicros, reconcileMicros }: CursorSpec,
): string {
  const { name, relation } = source
  const lacking =
    relation.kind === 'table'
      ? indexAdvice(source, entities, table, sqlIdentifier(column))
          .map((statement) => ` ${statement};`)
          .join('')
      : ` an index on "${column}" and one on the key, in the tables behind it.`
  return (
    `The source "${name}" is scanned by "${column}", which is best effort: a row that is committed more than ${durationText(overlapMicros)} after the newest one's "${column}", ` +
    `or that was deleted or changed without it, is found only when all rows are read, every ${durationText(reconcileMicros)}.${lacking === '' ? '' : ` This makes runs fast:${lacking}`}`
  )
}

/** Rows of a user's table that Lockstep, or its online store, does not get. */
export function unseenRowsNotes({ name, relation: { kind } }: SourceSpec, { relation, hasArrival, facts }: DescribedTable): string[] {
  if (kind !== 'table' || facts === null) return []
  const { restrictedRole: role, recordsArrival } = facts
  const notes: string[] = []
  if (role !== null)
    notes.push(
      `Row-level security of the table ${relation} applies to the role "${role}", so values of the source "${name}" may lack rows. ` +
        `Let the role see all rows, by "alter role ${sqlIdentifier(role)} bypassrls" or a policy for it.`,
    )
  if (hasArrival && !recordsArrival && tableKinds.includes(facts.kind))
    notes.push(
      `The table ${relation} of the source "${name}" does not set "_xid" of new rows to their transaction, so they never reach the online store, ` +
        `and training sets have them. To change that: alter table ${relation} alter column _xid set default pg_current_xact_id(); then run "lockstep materialize --rebuild".`,
    )
  return notes
}

/** `relkind` of tables, partitioned ones included. Only they can get columns. */
const tableKinds = ['r', 'p']

/** Says that a source's table does not record arrivals, so its new rows cannot be found, and how to change that. */
export function scanningNote(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable): string {
  const consequence = 'so Lockstep cannot find new rows: scanning it is best effort, and every materialization reads all of it'
  if (source.relation.kind === 'sql') return `The source "${source.name}" is a query, ${consequence}.`
  if (table.facts !== null && !tableKinds.includes(table.facts.kind)) {
    const columns = '"_row" (bigint) and "_xid" (xid8)'
    return `The source "${source.name}" reads ${table.relation}, which is no table and does not return ${columns}, ${consequence}. If it reads one table, it can return these columns of that table.`
  }
  const missing = arrivalColumns.flatMap((column) => {
    const found = table.columns.get(column.name)
    return found?.base === column.base ? [] : [{ ...column, found }]
  })
  const has = missing.map(({ name, type, found }) =>
    found === undefined ? `no "${name}"` : `"${name}" as ${found.text} instead of ${type}`,
  )
  const renames = missing.flatMap(({ name, widened, found }) =>
    found === undefined || widened.includes(found.base) ? [] : [`alter table ${table.relation} rename column ${name} to ${name}_before; `],
  )
  const changes = missing.map(({ name, type, rest, widened, found }) =>
    found !== undefined && widened.includes(found.base) ? `alter column ${name} type ${type}` : `add column ${name} ${type} ${rest}`,
  )
  const defaults = missing.flatMap(({ name, later }) =>
    later === undefined ? [] : [`alter table ${table.relation} alter column ${name} ${later}; `],
  )
  return (
    `The table ${table.relation} of the source "${source.name}" has ${has.join(' and ')}, ${consequence}. To change that: ` +
    `${renames.join('')}alter table ${table.relation} ${changes.join(', ')}; ${defaults.join('')}${indexAdvice(
      source,
      entities,
      table,
      '_xid',
    )
      .map((statement) => `${statement};`)
      .join(' ')}`.trimEnd()
  )
}

/** The indexes that find new rows for runs and an entity's rows for the history, as far as the table lacks them. */
function indexAdvice(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable, arrival: string): string[] {
  const lacking = [arrival, ...indexedColumns(source, entities, table)].filter((columns) => !hasIndexOn(table.facts, columns))
  return lacking.map((columns) => `create index on ${table.relation} (${columns})`)
}

interface ArrivalColumn {
  readonly name: string
  /** The type in the notation of `DescribedTable` (`base`), and as people write it (`type`). */
  readonly base: string
  readonly type: string
  readonly rest: string
  /** What follows once the rows that are there have the column. */
  readonly later?: string
  readonly widened: readonly string[]
}

/**
 * The columns that record arrivals, and the types that convert to theirs without loss. Rows that are there get `_xid`
 * 0: they count as arrived before all transactions, so a training set that was made before can be made again.
 */
const arrivalColumns: readonly ArrivalColumn[] = [
  { name: '_row', base: 'int8', type: 'bigint', rest: 'generated always as identity', widened: ['int2', 'int4'] },
  { name: '_xid', base: 'xid8', type: 'xid8', rest: `not null default '0'`, later: 'set default pg_current_xact_id()', widened: [] },
]
