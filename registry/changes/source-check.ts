import { LockstepError } from '../../kernel/errors.ts'
import type { KeyType, ColumnType } from '../../kernel/values/value-type.ts'
import { sameType, scalarKinds, typeName } from '../../kernel/values/value-type.ts'
import type { EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { timeTypes } from '../../runtime/postgres/relation.ts'
import type { DescribedTable } from './source-table.ts'

/** The column types from which each value type can be read without loss (numeric to float64 rounds to the nearest). */
const readFrom: Readonly<Record<ColumnType['kind'], readonly string[]>> = {
  bool: ['bool'],
  int32: ['int2', 'int4'],
  int64: ['int2', 'int4', 'int8'],
  float32: ['float4'],
  float64: ['float4', 'float8', 'int2', 'int4', 'numeric'],
  string: ['text', 'varchar', 'bpchar', 'uuid', 'enum'],
  timestamp: timeTypes,
  vector: ['_float4'],
}

/**
 * The differences between a source's declaration and the database; empty if all matches. The entities are those whose
 * views read the source.
 */
export function checkSource(source: SourceSpec, entities: readonly EntitySpec[], table: DescribedTable): LockstepError[] {
  if (!table.exists && source.relation.kind === 'owned') return []
  if (!table.exists && source.relation.kind === 'table') {
    return [
      new LockstepError(
        'SOURCE_MISSING',
        `The source "${source.name}" reads the table ${table.relation}, which does not exist; create it, or correct the source's "table".`,
        {
          details: { source: source.name, table: table.relation },
        },
      ),
    ]
  }
  const needs = [
    ...source.columns.map(({ name, type }) => ({ name, type, as: 'a column', declared: true })),
    { name: source.eventTime, type: { kind: 'timestamp' } as const, as: 'its event time' },
    ...(source.known === null ? [] : [{ name: source.known, type: { kind: 'timestamp' } as const, as: 'its known time' }]),
    ...source.key.map(({ part, column }) => ({ name: column, type: null, as: `its key "${part}"` })),
    ...entities.flatMap((entity) =>
      keyColumns(source, entity).map(({ name, part, type }) => ({ name, type, as: `the key "${part}" of the entity "${entity.name}"` })),
    ),
  ]
  const problems = new Map<string, LockstepError>()
  for (const need of needs) {
    const problem = checkColumn(source, table, need)
    if (problem !== null && !problems.has(`${need.name} ${problem.code}`)) problems.set(`${need.name} ${problem.code}`, problem)
  }
  return [...problems.values()]
}

/** The columns of the source that hold the entity's key, in the entity's order. */
export function keyColumns(source: SourceSpec, entity: EntitySpec): { name: string; part: string; type: KeyType }[] {
  return entity.key.flatMap(({ name: part, type }) => {
    const mapped = source.key.find((key) => key.part === part)
    return mapped === undefined ? [] : [{ name: mapped.column, part, type }]
  })
}

function checkColumn(
  source: SourceSpec,
  table: DescribedTable,
  need: { readonly name: string; readonly type: ColumnType | null; readonly as: string; readonly declared?: boolean },
): LockstepError | null {
  const column = table.columns.get(need.name)
  const details = { source: source.name, column: need.name }
  if (column === undefined) {
    // apply adds the column to a table that it has created
    if (source.relation.kind === 'owned') return null
    const where = source.relation.kind === 'sql' ? 'its query' : `the table ${table.relation}`
    return new LockstepError(
      'UNKNOWN_COLUMN',
      `The source "${source.name}" has the column "${need.name}" as ${need.as}, which ${where} does not have; it has ${quotedNames(table.columns.keys())}.${didYouMean(need.name, table.columns.keys())} Correct the source.`,
      { details },
    )
  }
  if (need.type === null || readFrom[need.type.kind].includes(column.base)) return null
  return new LockstepError(
    'SOURCE_TYPE_MISMATCH',
    `The source "${source.name}" reads the column "${need.name}" as ${need.as} of type ${typeName(need.type)}, but the database has it as ${column.text}; ${advice(need.type, column.base, need.declared === true)}.`,
    { details: { ...details, declared: typeName(need.type), found: column.text } },
  )
}

/**
 * @param declared whether another type may be declared: a time is always a timestamp, and a key has its entity's type
 */
function advice(type: ColumnType, base: string, declared: boolean): string {
  const fitting = scalarKinds.filter((kind) => declared && !sameType({ kind }, type) && readFrom[kind].includes(base))
  const change = `change the column's type (${readFrom[type.kind].join(', ').replaceAll('_float4', 'real[]').replaceAll('bpchar', 'char')})`
  return fitting.length === 0 ? `${change}, or cast it in a source with sql` : `declare it as ${fitting.join(' or ')}, or ${change}`
}
