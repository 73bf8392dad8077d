import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { CursorSpec, EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { sameType } from '../../kernel/values/value-type.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { timeTypes } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { currentDefinitions } from '../definition.ts'
import type { SourceOperational } from '../load/definition-set.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import { planPushTable, withPushColumns } from '../push-table.ts'
import { cursorNote, scanningNote, unseenRowsNotes } from './arrival-notes.ts'
import type { TableChange } from './owned-table.ts'
import { ownedTableChange } from './owned-table.ts'
import { checkSource, keyColumns } from './source-check.ts'
import type { ReaderSet, SourceReader } from './source-readers.ts'
import { entitiesOf, readersOf } from './source-readers.ts'
import type { Described, DescribedTable } from './source-table.ts'
import { describeSources } from './source-table.ts'
import { findsBy } from './table-facts.ts'

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

/** Compares the sources of the registry with the database. */
export async function planStoredSources(handle: Kysely<LockstepTables>): Promise<SourcesPlan> {
  const stored = await currentDefinitions(handle)
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
        const plan =
          source.relation.kind === 'owned'
            ? planOwned(source, allEntities, keyed, table, set)
            : operational.push === true
              ? await planPushed(handle, source, allEntities, table)
              : planScanned(source, entities, table, operational.cursor)
        tables.push(...plan.tables)
        notes.push(...plan.notes)
        problems.push(...plan.problems)
        found.set(source.name, plan.found)
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code === 'BUSY') throw error
        problems.push(error)
      }
    }
  }
  return { tables, notes, problems, found }
}

/** The part of the plan that is about one source. */
interface SourcePlan extends Omit<SourcesPlan, 'found'> {
  /** Its table, with the columns that `apply` adds for pushed events. */
  readonly found: DescribedTable
}

/** A source whose table Lockstep creates. */
function planOwned(
  source: SourceSpec,
  readers: readonly EntitySpec[],
  entities: readonly EntitySpec[],
  table: DescribedTable,
  set: SourceSet,
): SourcePlan {
  const change = typedTableChange(source, readers, entities, table)
  if (change !== null) return { tables: [change], notes: [], problems: [], found: table }
  const problems = readers.length > 0 || isRead(source, set) ? [untypedKey(source, readers)] : []
  return { tables: [], notes: problems.length === 0 && !table.exists ? [untypedNote(source)] : [], problems, found: table }
}

/** A user's table that Lockstep writes pushed rows to. */
async function planPushed(
  handle: Kysely<LockstepTables>,
  source: SourceSpec,
  readers: readonly EntitySpec[],
  table: DescribedTable,
): Promise<SourcePlan> {
  const { change, notes, problems } = await planPushTable(handle, source, readers, table)
  return { tables: [change], notes, problems, found: problems.length === 0 ? withPushColumns(table) : table }
}

/** A user's table or query that Lockstep only reads. */
function planScanned(
  source: SourceSpec,
  entities: readonly EntitySpec[],
  table: DescribedTable,
  cursor: CursorSpec | undefined,
): SourcePlan {
  const scanned = { tables: [], notes: [], problems: [], found: table }
  if (table.hasArrival) return scanned
  if (cursor === undefined) return { ...scanned, notes: [scanningNote(source, entities, table)] }
  return { ...scanned, notes: [cursorNote(source, entities, table, cursor)], problems: checkCursor(source, table, cursor) }
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

/** Kinds of relations that have indexes. */
const indexed: readonly string[] = ['r', 'p', 'm']

/** Notes about a user's table that outcomes match by the ids of predictions, where no index finds these. */
function outcomeIndexNotes(source: SourceSpec, { relation, facts }: DescribedTable, outcomes: readonly OutcomeSpec[]): string[] {
  if (source.relation.kind !== 'table' || facts === null || !indexed.includes(facts.kind)) return []
  return outcomes.flatMap(({ name, source: read, match }) =>
    read.name !== source.name || match.kind !== 'prediction' || findsBy(facts, match.column)
      ? []
      : [
          `The outcome "${name}" finds its rows by "${match.column}" in your table ${relation}, where no index begins with that column: each look-up reads the complete table. Create one: CREATE INDEX ON ${relation} (${sqlIdentifier(match.column)}).`,
        ],
  )
}
