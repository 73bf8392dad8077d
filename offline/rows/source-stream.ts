import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Column, KeyType, Value } from '../../kernel/values/value-type.ts'
import { show, typeName } from '../../kernel/values/value-type.ts'
import type { TimeRule, ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Snapshot } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { foreignRows } from './foreign-rows.ts'
import type { SourceRow } from './row-decoder.ts'
import { createRowDecoder } from './row-decoder.ts'
import type { SourceTable } from './source-table.ts'
import { readSourceTable } from './source-table.ts'
import { beyondFloat, sqlTypeName } from './sql-type.ts'
import { safeInt64At } from './tuple-values.ts'
import type { StreamBounds } from './stream-sql.ts'
import { leftOutSelect, nearLeftOutSelect, streamSelect } from './stream-sql.ts'

export interface SourceStreamOptions extends StreamBounds {
  /** Decides by which time the rows are sorted. Absent: the rule of time. */
  readonly rule?: TimeRule
  /** Deliver `xid`. */
  readonly withXid?: boolean
  /** As of `RowLayout`. */
  readonly tolerant?: (error: LockstepError) => void
}

/**
 * The rows of the source that all `plans` share, ordered by entity key, then by the moment from which they count (the
 * later of event and known time). Rows with a NULL in the key belong to no entity and are left out. `values` are by
 * slot of `streamColumns(plans)`: for one plan these are `plan.columns`, ready for `plan.fold`; for several, use
 * `projection`.
 *
 * @throws LockstepError `SOURCE_MISSING`, `INVALID_ROW`, `INVALID_TIME`, `ORDER_VIOLATED`
 */
export async function* sourceRows(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  options: SourceStreamOptions = {},
): AsyncGenerator<readonly SourceRow[]> {
  const { source } = firstOf(plans).spec
  const table = await readSourceTable(snapshot, source)
  if (options.arrival !== undefined && !table.hasXid) {
    throw new LockstepError(
      'SOURCE_MISSING',
      `The table of source "${source.name}" has no column "_xid" of type xid8, so Lockstep cannot find new rows. Read all of it.`,
    )
  }
  const { sql, decode } = prepareStream(table, plans, options)
  try {
    for await (const batch of snapshot.tuples(sql, { fullScan: isFullScan(options), stable: source.relation.kind === 'sql' }))
      yield decode(batch)
  } catch (cause) {
    if (!sqlState(cause).startsWith('22')) throw cause
    const key = sourceKey(firstOf(plans))
    const columns = [...key, ...streamColumns(plans)]
    // where a failure ends the complete transaction, as on PGlite, the row cannot be searched
    const row = await tooGreat(snapshot, table, key, columns).catch(() => null)
    throw unreadable(cause, source, columns, table, row)
  }
}

/** Whether the request has no condition that leaves out most of the table. */
function isFullScan({ keys, keysIn, keyRange, near, arrival }: SourceStreamOptions): boolean {
  return keys === undefined && keysIn === undefined && keyRange === undefined && near === undefined && (arrival?.from ?? 0) === 0
}

/**
 * If a value cannot be cast to its declared type, the database names neither row nor column: it may be any column that
 * is cast.
 */
function unreadable(
  cause: unknown,
  source: SourceSpec,
  columns: readonly Column[],
  { types }: SourceTable,
  row: string | null,
): LockstepError {
  const cast = columns
    .filter(({ name, type }) => type.kind !== 'string' && types.get(name) !== sqlTypeName(type))
    .map(({ name, type }) => `"${name}" (${types.get(name) ?? 'of a query'}, read as ${typeName(type)})`)
  const where = cast.length === 0 ? '' : `, in ${cast.join(' or ')}`
  return new LockstepError(
    'INVALID_ROW',
    `A row of source "${source.name}" has a value that cannot be read${where}: ${messageOf(cause)}. ${row ?? ''}Correct the row, or declare a wider type.`,
    { cause, details: { source: source.name } },
  )
}

/** Says where a decimal is that no float can represent. */
async function tooGreat(
  snapshot: Snapshot,
  table: SourceTable,
  key: readonly Column[],
  columns: readonly Column[],
): Promise<string | null> {
  for (const { name, type } of columns) {
    if (table.types.get(name) !== 'numeric' || (type.kind !== 'float32' && type.kind !== 'float64')) continue
    const column = `s.${sqlIdentifier(name)}`
    const parts = key.map((part) => `s.${sqlIdentifier(part.name)}::text`)
    const [found] = await snapshot.query<{ parts: (string | null)[]; value: string }>(
      `SELECT ARRAY[${parts.join(', ')}]::text[] AS parts, ${column}::text AS value FROM ${table.relation} s WHERE ${beyondFloat(type.kind, column, 'numeric')} LIMIT 1`,
    )
    if (found === undefined) continue
    const entity = key.map((part, i) => `"${part.name}" = ${show(found.parts[i])}`).join(', ')
    return `"${name}" is ${show(found.value)} where the key is ${entity || 'empty'}. `
  }
  return null
}

/** The SELECT of a stream and the decoder of its tuples. */
export function prepareStream(
  table: SourceTable,
  plans: readonly ViewPlan[],
  options: SourceStreamOptions,
): { sql: string; decode: ReturnType<typeof createRowDecoder> } {
  const { source } = firstOf(plans).spec
  const key = sourceKey(firstOf(plans))
  const columns = streamColumns(plans)
  const fetched = table.hasRow ? columns : unionColumns([columns, source.columns])
  const xid = options.withXid === true
  const order = orderOf(options)
  const { known } = source
  const sql = streamSelect({
    table,
    key,
    eventTime: source.eventTime,
    known,
    columns: fetched,
    row: table.hasRow,
    xid,
    order,
    bounds: options,
  })
  const tie = table.hasRow ? [] : tieSlots(source, fetched)
  const decode = createRowDecoder({
    source: source.name,
    key,
    known: known !== null,
    row: table.hasRow,
    xid,
    columns: fetched,
    delivered: columns.length,
    tie,
    order,
    tolerant: options.tolerant,
  })
  return { sql, decode }
}

function orderOf({ rule }: SourceStreamOptions): 'known' | 'event' {
  return rule?.knowledge === 'latest' ? 'event' : 'known'
}

/** The rows that a stream of all transactions below a given one leaves out. */
export interface LeftOut {
  /** Rows with a NULL in the key, which belong to no entity. */
  readonly dropped: number
  /**
   * Committed rows of transactions from the given one on; null where the table has no arrival columns, and nothing is
   * held back.
   */
  readonly heldBack: number | null
}

/**
 * @param bounds where they say `near`, only rows near the lookups count: the rest of the table is not looked at
 * @param keyed a row without any of these columns is dropped. Absent: those of the plan's key
 * @throws LockstepError `INVALID_ROW` where the table came from another database, whose transactions are none of this
 *   one's
 */
export async function countLeftOut(
  snapshot: Snapshot,
  plan: ViewPlan,
  arrivedBefore = snapshot.xmin,
  bounds: SourceStreamOptions = {},
  keyed: readonly Column[] = sourceKey(plan),
): Promise<LeftOut> {
  const { source } = plan.spec
  const table = await readSourceTable(snapshot, source)
  const key = sourceKey(plan)
  const { eventTime, known } = source
  const select =
    bounds.near === undefined
      ? leftOutSelect(table, keyed, arrivedBefore)
      : nearLeftOutSelect({ table, key, keyed, eventTime, known, order: orderOf(bounds), bounds }, bounds.near, arrivedBefore)
  const { dropped, later, newest } = await readCounts(snapshot, select)
  if (newest !== null && newest >= snapshot.bounds.xmax) throw await foreignRows(snapshot, table.relation, newest)
  return { dropped, heldBack: table.hasXid ? later : null }
}

/**
 * The key columns whose NULLs drop rows of a source, for `countLeftOut`: those of all plans that read it for the first
 * plan, and none for the others. So a row counts once, however many keys it lacks.
 */
export function dropColumns(plans: readonly ViewPlan[]): (plan: ViewPlan) => readonly Column[] {
  const counted = new Set<string>()
  return ({ spec }) => {
    if (counted.has(spec.source.name)) return []
    counted.add(spec.source.name)
    return unionColumns(plans.filter((plan) => plan.spec.source.name === spec.source.name).map((plan) => sourceKey(plan)))
  }
}

/** Runs as a stream, so that it can run beside others. */
async function readCounts(snapshot: Snapshot, select: string): Promise<{ dropped: number; later: number; newest: number | null }> {
  let counts = { dropped: 0, later: 0, newest: null as number | null }
  for await (const { bytes, starts } of snapshot.tuples(select)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (const start of starts) {
      const at = start + 2 // three fields of eight bytes, the last perhaps NULL
      const newest = view.getInt32(at + 24) < 0 ? null : safeInt64At(view, at + 28)
      counts = { dropped: safeInt64At(view, at + 4), later: safeInt64At(view, at + 16), newest }
    }
  }
  return counts
}

/** The columns that a stream for these plans delivers: those that any of them needs. */
export function streamColumns(plans: readonly ViewPlan[]): readonly Column[] {
  return plans.length === 1 ? firstOf(plans).columns : unionColumns(plans.map((plan) => plan.columns))
}

/** Maps the values of a stream to those of one of its plans. */
export function projection(columns: readonly Column[], plan: ViewPlan): (values: SourceRow['values']) => SourceRow['values'] {
  const slots = plan.columns.map(({ name }) => columns.findIndex((column) => column.name === name))
  if (slots.length === columns.length && slots.every((slot, i) => slot === i)) return (values) => values
  return (values) => {
    const projected = new Array<Value | null>(slots.length)
    for (let i = 0; i < slots.length; i++) projected[i] = values[slots[i] as number] as Value | null
    return projected
  }
}

/** The source's columns that hold the entity's key, with the entity's types, in the entity's order. */
export function sourceKey(plan: ViewPlan): Column<KeyType>[] {
  const { source } = plan.spec
  return plan.key.map((part) => {
    const mapped = source.key.find((k) => k.part === part.name)
    if (mapped === undefined) {
      throw new LockstepError(
        'UNKNOWN_COLUMN',
        `The source "${source.name}" names no column for the key "${part.name}" of the entity "${plan.spec.entity.name}"; add it to the source's key.`,
      )
    }
    return { name: mapped.column, type: part.type }
  })
}

function tieSlots(source: SourceSpec, fetched: readonly Column[]): number[] {
  const names = source.columns.map((column) => column.name).sort()
  return names.map((name) => fetched.findIndex((column) => column.name === name))
}

export function unionColumns(lists: readonly (readonly Column[])[]): Column[] {
  const union = new Map<string, Column>()
  for (const list of lists) for (const column of list) if (!union.has(column.name)) union.set(column.name, column)
  return [...union.values()]
}

function firstOf(plans: readonly ViewPlan[]): ViewPlan {
  const [first] = plans
  if (first === undefined) throw new LockstepError('INTERNAL', 'A source stream needs at least one view.')
  return first
}
