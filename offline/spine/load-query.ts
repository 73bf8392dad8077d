import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ColumnType } from '../../kernel/value-type.ts'
import { typeName } from '../../kernel/value-type.ts'
import type { Database } from '../../runtime/database.ts'
import { checkQuery, inParentheses } from '../../runtime/relation.ts'
import { sqlIdentifier } from '../../runtime/sql.ts'
import { describeTable } from '../source-table.ts'
import { naturalType } from '../sql-type.ts'
import type { SpineRole } from './spine-columns.ts'
import { assignRoles } from './spine-columns.ts'
import { ordinalColumn } from './spine.ts'

/**
 * Runs a query into a new unlogged table, its rows numbered in the order in which it gives them.
 *
 * @returns also each column's type in the table
 * @throws LockstepError `SPINE_INVALID` with the database's own words where the query fails, or naming a column of the wrong type
 */
export async function loadSpineQuery(
  db: Database,
  service: ServicePlan,
  table: string,
  query: string,
  time: string | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly time: string; readonly roles: readonly SpineRole[]; readonly types: ReadonlyMap<string, string> }> {
  try {
    await checkQuery(db, query)
    await db.query(spineTableSql(table, query), [], { signal })
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError('SPINE_INVALID', `The spine's query fails: ${messageOf(cause)}. Correct the query.`, { cause })
  }
  const columns = (await describeTable(db, table)).filter((column) => column.name !== ordinalColumn)
  const found = columns.map(({ name, type }) => ({ name, type: naturalType(type) }))
  const assigned = assignRoles(service, found, time, "The spine's query")
  const roles = assigned.roles.map((role, i) => {
    const actual = columns[i]
    const type = role.type ?? (found[i] as { type: ColumnType }).type
    if (role.type !== null && actual !== undefined && !accepts[type.kind].includes(actual.type)) {
      throw new LockstepError(
        'SPINE_INVALID',
        `The spine's query gives "${role.name}" as ${actual.described}, where ${typeName(type)} is needed; cast it in the query.`,
      )
    }
    return { ...role, type }
  })
  return { time: assigned.time, roles, types: new Map(columns.map(({ name, type }) => [name, type])) }
}

export function spineTableSql(table: string, query: string): string {
  return `CREATE UNLOGGED TABLE ${table} AS SELECT row_number() OVER () AS ${sqlIdentifier(ordinalColumn)}, q.* FROM ${inParentheses(query)} q`
}

/** What may stand for a type without a cast of the user's own. */
const accepts: Readonly<Record<ColumnType['kind'], readonly string[]>> = {
  bool: ['bool'],
  int32: ['int2', 'int4', 'int8'],
  int64: ['int2', 'int4', 'int8'],
  float32: ['float4', 'float8', 'int2', 'int4', 'numeric'],
  float64: ['float4', 'float8', 'int2', 'int4', 'int8', 'numeric'],
  string: ['text', 'varchar', 'bpchar', 'name', 'uuid', 'enum'],
  timestamp: ['timestamp', 'timestamptz', 'date'],
  vector: ['_float4', '_float8'],
}
