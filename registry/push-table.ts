import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { EntitySpec, SourceSpec } from '../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import { sqlIdentifier } from '../runtime/postgres/sql.ts'
import type { TableChange } from './changes/owned-table.ts'
import { arrivalIndex, eventIdIndex, hasIndex, visibleIndex } from './changes/owned-table.ts'
import { estimateRows } from './changes/row-estimate.ts'
import { keyColumns } from './changes/source-check.ts'
import type { DescribedTable, TableColumn } from './changes/source-table.ts'
import type { TableFacts } from './changes/table-facts.ts'
import { hasIndexOn } from './changes/table-facts.ts'

/** The changes that `apply` makes to a user's table so that it accepts pushed events, or why it cannot. */
export interface PushTablePlan {
  readonly change: TableChange
  readonly problems: readonly LockstepError[]
  readonly notes: readonly string[]
}

/**
 * Plans the columns and indexes that a user's table needs for pushed events: those of a table that Lockstep creates
 * (`ownedTableChange`). Rows that are there count as arrived before all transactions (`_xid` 0), so training sets that
 * were made before can still be verified.
 *
 * @param entities the entities of every view that reads the source, registered or declared
 * @param table it exists, and the source fits it
 */
export async function planPushTable(
  handle: Kysely<LockstepTables>,
  source: SourceSpec,
  entities: readonly EntitySpec[],
  table: DescribedTable,
): Promise<PushTablePlan> {
  const { relation, facts } = table
  if (facts === null) throw new LockstepError('SOURCE_MISSING', `There is no table ${relation}; create it, or correct its name.`)
  const missing = pushColumns.filter(({ name }) => !table.columns.has(name))
  const indexes = [
    ...indexedColumns(source, entities, table).flatMap((columns) => (hasIndexOn(facts, columns) ? [] : [visibleIndex(source, columns)])),
    arrivalIndex(source),
    eventIdIndex(source),
  ].filter(({ name }) => !hasIndex(table, name))
  const rewrites = missing.some(({ name }) => name === '_row') ? await rewriteCost(handle, relation) : null
  const statements = [
    ...(missing.length === 0 ? [] : [`alter table ${relation} ${missing.map(({ text }) => `add column ${text}`).join(', ')}`]),
    ...missing.flatMap(({ name, later }) => (later === undefined ? [] : [`alter table ${relation} alter column ${name} ${later}`])),
    ...indexes.map(({ statement }) => statement),
  ]
  const change: TableChange = {
    source: source.name,
    relation,
    kind: missing.length > 0 ? 'addColumns' : indexes.length > 0 ? 'addIndexes' : 'none',
    columns: missing.map(({ name }) => name),
    indexes: indexes.map(({ name }) => name),
    statements,
    rewrites,
  }
  const problems = [...wrongKind(source, relation, facts), ...wrongColumns(source, table), ...notOwner(source, change, facts)]
  const notes = missing.length === 0 || problems.length > 0 ? [] : [changeNote(change)]
  return { change, problems, notes }
}

/** Rows per second of the rewrite with all indexes: 3,000,000 rows took 19 s on two busy cores. */
const rewriteRate = 150_000

async function rewriteCost(handle: Kysely<LockstepTables>, relation: string): Promise<TableChange['rewrites']> {
  const { rows } = await sql<{ bytes: string }>`select pg_total_relation_size(to_regclass(${relation}))::text as bytes`.execute(handle)
  const estimate = await estimateRows(handle, relation, false)
  return { ...estimate, bytes: Number(rows[0]?.bytes), seconds: Math.ceil(estimate.rows / rewriteRate) }
}

/** The table as it is after the change. */
export function withPushColumns(table: DescribedTable): DescribedTable {
  const column = (base: string): TableColumn => ({ base, text: base, nullable: false, hasDefault: true, generated: false })
  return { ...table, hasArrival: true, columns: new Map([...table.columns, ['_row', column('int8')], ['_xid', column('xid8')]]) }
}

/**
 * The column lists of the indexes that find an entity's rows in the order in which they become visible, as far as the
 * table's types allow.
 */
export function indexedColumns(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable): string[] {
  const base = (name: string): string => table.columns.get(name)?.base ?? ''
  const texts = ['text', 'varchar', 'bpchar']
  const key = (name: string): string => `${sqlIdentifier(name)}${texts.includes(base(name)) ? ' collate "C"' : ''}`
  const event = sqlIdentifier(source.eventTime)
  // PostgreSQL refuses an index over times of two types, because their comparison depends on the session's time zone
  const visible =
    source.known === null || base(source.known) !== base(source.eventTime) ? event : `greatest(${event}, ${sqlIdentifier(source.known)})`
  return [...new Set(entities.map((entity) => [...keyColumns(source, entity).map(({ name }) => key(name)), visible].join(', ')))]
}

const pushColumns: readonly { readonly name: string; readonly base: string; readonly text: string; readonly later?: string }[] = [
  { name: '_row', base: 'int8', text: '_row bigint generated always as identity' },
  { name: '_xid', base: 'xid8', text: `_xid xid8 not null default '0'`, later: 'set default pg_current_xact_id()' },
  { name: '_event_id', base: 'text', text: '_event_id text' },
  { name: '_online_only', base: 'bool', text: '_online_only boolean not null default false' },
]

const kindsOfRelation: Readonly<Record<string, string>> = { v: 'a view', m: 'a materialized view', f: 'a foreign table', p: 'partitioned' }

function wrongKind(source: SourceSpec, relation: string, { kind, hasKin }: TableFacts): LockstepError[] {
  const what = kindsOfRelation[kind] ?? (kind !== 'r' ? 'not a table' : hasKin ? 'part of a table hierarchy' : null)
  if (what === null) return []
  const why =
    kind === 'p' || kind === 'r'
      ? 'PostgreSQL cannot keep event ids unique over several tables. Declare the source without "table", so that Lockstep creates its table, or remove push'
      : 'it cannot get the columns that pushed events need. Name the table behind it, or remove push'
  return [notPushable(source, `Its table ${relation} is ${what}: ${why}.`)]
}

/** Columns that an event could not fill as the source means them. */
function wrongColumns(source: SourceSpec, table: DescribedTable): LockstepError[] {
  const times = new Set([
    source.eventTime,
    source.known,
    ...source.columns.filter(({ type }) => type.kind === 'timestamp').map(({ name }) => name),
  ])
  const sent = new Set([...times, ...source.key.map(({ column }) => column), ...source.columns.map(({ name }) => name)])
  return [...table.columns].flatMap(([name, { base, text, nullable, hasDefault, generated }]) => {
    const of = `Its table ${table.relation} has the column "${name}"`
    const reserved = pushColumns.find((column) => column.name === name)
    if (reserved !== undefined)
      return reserved.base === base
        ? []
        : [notPushable(source, `${of} as ${text}, a name that pushed events need for themselves. Rename it.`)]
    if (!sent.has(name)) {
      if (nullable || hasDefault || generated) return []
      return [
        notPushable(source, `${of}, which is NOT NULL and which no event fills. Add it to the source's columns, or give it a default.`),
      ]
    }
    if ((name === source.eventTime || name === source.known) && generated)
      return [notPushable(source, `${of} as a generated column, but events bring this time. Make it an ordinary column.`)]
    if (times.has(name) && (base === 'date' || text.includes('('))) {
      const cut = name === source.eventTime || name === source.known ? "an event's time" : 'the times that events have in it'
      return [notPushable(source, `${of} as ${text}, which would cut off a part of ${cut}. Change its type to timestamptz.`)]
    }
    return []
  })
}

function notOwner(source: SourceSpec, { relation, statements }: TableChange, { isOurs, owner }: TableFacts): LockstepError[] {
  if (isOurs || statements.length === 0) return []
  const run = statements.map((statement) => `${statement};`).join(' ')
  return [
    notPushable(source, `Its table ${relation} needs columns and indexes, and belongs to the role "${owner}". Have that role run: ${run}`),
  ]
}

function changeNote({ relation, columns }: TableChange): string {
  return (
    `Your table ${relation} gets ${columns.join(', ')}, so that events can be pushed into it. Your own INSERT statements still work; ` +
    `a COPY or INSERT … SELECT * without a list of columns needs one. Lockstep never drops the columns.`
  )
}

export function notPushable({ name }: SourceSpec, why: string, cause?: unknown): LockstepError {
  return new LockstepError('NOT_PUSHABLE', `Events cannot be pushed to the source "${name}". ${why}`, { cause, details: { source: name } })
}
