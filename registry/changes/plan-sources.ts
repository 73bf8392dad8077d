import type { Kysely } from 'kysely'
import { durationText } from '../../kernel/values/duration.ts'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { measuresOf } from '../../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { sameType } from '../../kernel/values/value-type.ts'
import type { CursorSpec, EntitySpec, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { sourceRelation, timeTypes } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { PlannedBackfill } from './change-plan.ts'
import type { SourceOperational } from '../load/definition-set.ts'
import { storedDefinitions } from '../definition.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import type { TableChange } from './owned-table.ts'
import { ownedTableChange } from './owned-table.ts'
import { outcomeIndexNotes } from './outcome-index-notes.ts'
import { indexedColumns, planPushTable, withPushColumns } from '../push-table.ts'
import { estimateRows, estimateTables, noRows, readFoldRate } from './row-estimate.ts'
import { checkSource, keyColumns } from './source-check.ts'
import type { Described, DescribedTable } from './source-table.ts'
import { describeSources } from './source-table.ts'
import { hasIndexOn } from './table-facts.ts'

export interface SourcesPlan {
  readonly tables: readonly TableChange[]
  readonly notes: readonly string[]
  readonly problems: readonly LockstepError[]
  /** The sources that match the database, by name. */
  readonly found: ReadonlyMap<string, DescribedTable>
}

/** Sources, and what reads them. A `DefinitionSet` is one. */
export interface SourceSet extends ReaderSet {
  readonly sources: readonly { readonly spec: SourceSpec; readonly operational: SourceOperational }[]
  readonly pipelines: readonly { readonly spec: PipelineSpec }[]
  readonly entities: readonly { readonly spec: EntitySpec }[]
}

interface ReaderSet {
  readonly views: readonly { readonly spec: ViewSpec }[]
  readonly outcomes: readonly { readonly spec: OutcomeSpec }[]
  readonly experiments: readonly { readonly spec: ExperimentSpec }[]
}

/** Compares the sources of the registry with the database. */
export async function planStoredSources(handle: Kysely<LockstepTables>): Promise<SourcesPlan> {
  const stored = (await storedDefinitions(handle)).filter(({ retired }) => !retired)
  const set: SourceSet = {
    entities: stored.filter((each) => each.kind === 'entity'),
    sources: stored.filter((each) => each.kind === 'source'),
    views: stored.filter((each) => each.kind === 'view'),
    outcomes: stored.filter((each) => each.kind === 'outcome'),
    experiments: stored.filter((each) => each.kind === 'experiment'),
    pipelines: stored.filter((each) => each.kind === 'pipeline'),
  }
  return await planSources(handle, set, [])
}

/**
 * Compares the declared sources with the database.
 *
 * @param registered views and outcomes that are only in the registry, not in the file, and that stay
 * @param registeredEntities entities that are only in the registry
 */
export async function planSources(
  handle: Kysely<LockstepTables>,
  set: SourceSet,
  registered: readonly SourceReader[],
  registeredEntities: readonly EntitySpec[] = [],
): Promise<SourcesPlan> {
  const tables: TableChange[] = []
  const notes: string[] = []
  const problems: LockstepError[] = []
  const found = new Map<string, DescribedTable>()
  const declared = bySource(readersOf(set))
  const all = bySource([...registered, ...readersOf(set)])
  const outcomes = set.outcomes.map(({ spec }) => spec)
  const keyed = [...registeredEntities, ...set.entities.map(({ spec }) => spec)]
  const isQuery = (each: SourceSet['sources'][number]): boolean => each.spec.relation.kind === 'sql'
  // queries may read tables that the file's other sources create
  for (const group of [set.sources.filter((each) => !isQuery(each)), set.sources.filter(isQuery)]) {
    const described = await describeAfter(
      handle,
      group.map(({ spec }) => spec),
      tables,
    )
    for (const { spec: source, operational } of group) {
      try {
        const table = described.get(source.name)
        if (table === undefined) continue
        if (table instanceof LockstepError) throw table
        const entities = entitiesOf(source, declared.get(source.name))
        const wrong = checkSource(source, entities, table)
        problems.push(...wrong)
        if (wrong.length > 0) continue
        found.set(source.name, table)
        notes.push(...outcomeIndexNotes(source, table, outcomes), ...unseenRowsNotes(source, table))
        const allEntities = entitiesOf(source, all.get(source.name))
        if (source.relation.kind === 'owned') {
          const change = typedTableChange(source, allEntities, keyed, table)
          if (change !== null) tables.push(change)
          else if (allEntities.length > 0 || isRead(source, set)) problems.push(untypedKey(source, allEntities))
          else if (!table.exists) notes.push(untypedNote(source))
        } else if (operational.push === true) {
          const plan = await planPushTable(handle, source, allEntities, table)
          if (plan.problems.length === 0) found.set(source.name, withPushColumns(table))
          tables.push(plan.change)
          notes.push(...plan.notes)
          problems.push(...plan.problems)
        } else if (!table.hasArrival) {
          const { cursor } = operational
          if (cursor === undefined) notes.push(scanningNote(source, entities, table))
          else problems.push(...checkCursor(source, table, cursor))
          if (cursor !== undefined)
            notes.push(cursorNote(source, cursor, indexAdvice(source, entities, table, sqlIdentifier(cursor.column))))
        }
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code === 'BUSY') throw error
        problems.push(error)
      }
    }
  }
  return { tables, notes, problems, found }
}

/** Describes sources. A query is described as it is once `apply` has created the tables of other sources. */
async function describeAfter(
  handle: Kysely<LockstepTables>,
  sources: readonly SourceSpec[],
  tables: readonly TableChange[],
): Promise<ReadonlyMap<string, Described>> {
  const described = await describeSources(handle, sources)
  const missing = sources.filter(({ name, relation }) => relation.kind === 'sql' && isMissing(described.get(name)))
  const create = tables.flatMap(({ kind, statements }) => (kind === 'create' ? statements.slice(0, 1) : []))
  if (missing.length > 0 && create.length > 0) {
    const after = await describeSources(handle, missing, create)
    for (const [name, table] of after) described.set(name, table instanceof LockstepError ? table : { ...table, exists: false })
  } else if (tables.some(({ kind }) => kind === 'addColumns')) {
    // adding columns, even to roll them back, would lock tables that are in use
    const hint = 'If it reads a column that this file adds to a table, apply the file without this source first.'
    for (const { name } of missing) {
      const error = described.get(name)
      if (error instanceof LockstepError)
        described.set(name, new LockstepError(error.code, `${error.message} ${hint}`, { cause: error, details: error.details }))
    }
  }
  return described
}

function isMissing(described: Described | undefined): boolean {
  return described instanceof LockstepError && described.code === 'SOURCE_MISSING'
}

function bySource(readers: readonly SourceReader[]): ReadonlyMap<string, readonly SourceReader[]> {
  return Map.groupBy(readers, ({ source }) => source.name)
}

/** Whether an outcome or a pipeline reads the source, which therefore needs its table. */
function isRead({ name }: SourceSpec, { outcomes, pipelines }: SourceSet): boolean {
  return outcomes.some(({ spec }) => spec.source.name === name) || pipelines.some(({ spec }) => spec.source === name)
}

/**
 * As `ownedTableChange`. Entities give their types to key columns that no reader types.
 *
 * @param readers the entities of what reads the source
 */
export function typedTableChange(
  source: SourceSpec,
  readers: readonly EntitySpec[],
  entities: readonly EntitySpec[],
  table: DescribedTable,
): TableChange | null {
  return ownedTableChange(source, readers, table) ?? ownedTableChange(withKeyTypes(source, [...entities, ...readers]), readers, table)
}

/** The source with its key columns among its columns, as far as entities agree on their types. */
function withKeyTypes(source: SourceSpec, entities: readonly EntitySpec[]): SourceSpec {
  const parts = entities.flatMap((entity) => keyColumns(source, entity))
  const columns = source.key.flatMap(({ column: name }) => {
    const [type, ...others] = parts.filter((each) => each.name === name).map((each) => each.type)
    const isDeclared = source.columns.some((each) => each.name === name)
    return isDeclared || type === undefined || others.some((other) => !sameType(other, type)) ? [] : [{ name, type }]
  })
  return { ...source, columns: [...source.columns, ...columns] }
}

function untypedNote({ name, key }: SourceSpec): string {
  const columns = quotedNames(key.map(({ column }) => column))
  return (
    `The source "${name}" gets no table, because the types of its key columns (${columns}) are unknown: no entity has that key, or entities disagree. ` +
    "To create it, declare that entity, or add the key columns with their types to the source's columns."
  )
}

/** The error of a key column without a type: the table cannot be created, so what reads the source would lack it. */
function untypedKey(source: SourceSpec, entities: readonly EntitySpec[]): LockstepError {
  const known = new Set([...entities.flatMap((entity) => keyColumns(source, entity)), ...source.columns].map(({ name }) => name))
  const column = source.key.map((part) => part.column).find((name) => !known.has(name)) ?? ''
  return new LockstepError(
    'DEFINITIONS_INVALID',
    `The source "${source.name}" has the key column "${column}", whose type is unknown: no entity has that key, or entities disagree on its type. Add the column with its type to the source's columns, or remove it from the key.`,
    { details: { source: source.name, column } },
  )
}

export interface ViewToFill {
  readonly view: ViewSpec
  readonly reason: PlannedBackfill['reason']
}

/**
 * The materializations that views need, without those whose source cannot be read yet.
 *
 * @param found the sources that match the database, by name
 */
export async function planBackfills(
  handle: Kysely<LockstepTables>,
  views: readonly ViewToFill[],
  found: ReadonlyMap<string, DescribedTable>,
): Promise<PlannedBackfill[]> {
  const tables = new Map([...found.values()].map((table) => [table.relation, table]))
  const planned = views.flatMap((each) => {
    const table = tables.get(sourceRelation(each.view.source))
    return table === undefined ? [] : [{ ...each, relation: table.relation, exists: table.exists }]
  })
  const rate = await readFoldRate(handle)
  const read = new Map(planned.flatMap(({ view, relation, exists }) => (exists ? [[relation, view.source.relation.kind === 'sql']] : [])))
  const estimates = await estimateTables(
    handle,
    [...read].flatMap(([relation, isQuery]) => (isQuery ? [] : [relation])),
  )
  for (const [relation, isQuery] of read) if (isQuery) estimates.set(relation, await estimateRows(handle, relation, true))
  return planned.map(({ view, reason, relation }) => {
    const estimate = estimates.get(relation) ?? noRows
    return { view: definitionId(view), reason, ...estimate, seconds: Math.ceil(estimate.rows / rate) }
  })
}

/** What reads a source by the key of an entity. */
export type SourceReader = Pick<ViewSpec, 'source' | 'entity'>

/** What reads the sources of a file. */
export function readersOf({ views, outcomes, experiments }: ReaderSet): SourceReader[] {
  return [
    ...views.map(({ spec }) => spec),
    ...outcomes.flatMap(({ spec }) => outcomeReaders(spec)),
    ...experiments.flatMap(({ spec }) => experimentReaders(spec)),
  ]
}

/** An outcome that matches by key reads its source as a view of an entity with that key would. */
export function outcomeReaders({ name, source, match }: OutcomeSpec): SourceReader[] {
  return match.kind === 'prediction' ? [] : [{ source, entity: { name: `outcome ${name}`, key: match.key } }]
}

/** A metric reads its source as a view of an entity with the unit's key would. */
export function experimentReaders({ name, metrics }: ExperimentSpec): SourceReader[] {
  return metrics.flatMap(measuresOf).flatMap(({ of }) => {
    return of.kind === 'source' ? [{ source: of.source, entity: { name: `experiment ${name}`, key: of.key } }] : []
  })
}

/**
 * The entities of the views that read the source, if it has columns for all parts of their keys. Of entities with the
 * same name, the last one is returned.
 */
export function entitiesOf(source: SourceSpec, views: readonly SourceReader[] = []): EntitySpec[] {
  const entities = views.filter((view) => view.source.name === source.name).map((view) => view.entity)
  const byName = new Map(entities.map((entity) => [entity.name, entity]))
  return [...byName.values()].filter((entity) => keyColumns(source, entity).length === entity.key.length)
}

function checkCursor(source: SourceSpec, table: DescribedTable, { column }: CursorSpec): LockstepError[] {
  const found = table.columns.get(column)
  if (found !== undefined && timeTypes.includes(found.base)) return []
  const [code, what] =
    found === undefined ? (['UNKNOWN_COLUMN', 'does not have'] as const) : (['SOURCE_TYPE_MISMATCH', `has as ${found.text}`] as const)
  return [
    new LockstepError(
      code,
      `The source "${source.name}" has the cursor "${column}", which its ${source.relation.kind === 'sql' ? 'query' : 'table'} ${what}; name a column that is a time.`,
      { details: { source: source.name, column } },
    ),
  ]
}

function cursorNote(
  { name, relation }: SourceSpec,
  { column, overlapMicros, reconcileMicros }: CursorSpec,
  indexes: readonly string[],
): string {
  const lacking =
    relation.kind === 'table'
      ? indexes.map((statement) => ` ${statement};`).join('')
      : ` an index on "${column}" and one on the key, in the tables behind it.`
  return (
    `The source "${name}" is scanned by "${column}", which is best effort: a row that is committed more than ${durationText(overlapMicros)} after the newest one's "${column}", ` +
    `or that was deleted or changed without it, is found only when all rows are read, every ${durationText(reconcileMicros)}.${lacking === '' ? '' : ` This makes runs fast:${lacking}`}`
  )
}

/** Rows of a user's table that Lockstep, or its online store, does not get. */
function unseenRowsNotes({ name, relation: { kind } }: SourceSpec, { relation, hasArrival, facts }: DescribedTable): string[] {
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

function scanningNote(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable): string {
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
