import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { createCopyEncoder } from '../rows/copy-encoder.ts'
import type { FileColumn } from '../files/tabular-file.ts'
import { openTabularFile } from '../files/tabular-file.ts'
import { sqlTypeName } from '../rows/sql-type.ts'
import type { SpineNames, SpineRole } from './spine-columns.ts'
import { assignRoles } from './spine-columns.ts'
import type { SpineTarget } from './spine.ts'
import { ordinalColumn } from './spine.ts'

/**
 * Loads a file into a new unlogged table. Each column has the type that the service requires, or else its own.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`, `FILE_UNREADABLE`, `INVALID_ROW` naming row, column
 * and value
 */
export async function loadSpineFile(
  { db, service, table, signal }: SpineTarget,
  path: string,
  named: SpineNames,
): Promise<{ readonly time: string; readonly roles: readonly SpineRole[] }> {
  const file = await openTabularFile(path)
  const what = `The spine "${path}"`
  const assigned = assignRoles(service, file.columns, named, what)
  const typed = assigned.roles.map((role, i) => ({
    role,
    from: file.columns[i] as FileColumn,
    type: targetType(role, file.columns[i] as FileColumn, what),
  }))
  const encoder = createCopyEncoder(path, [
    { from: { name: ordinalColumn, type: { kind: 'int64' }, described: 'row number' }, type: 'int8', nullable: false },
    ...typed.map(({ role, from, type }) => ({
      from,
      exact: role.type === null,
      type: sqlTypeName(type),
      nullable: true,
      length: type.kind === 'vector' ? type.length : null,
    })),
  ])
  const names = file.columns.map((column) => column.name)
  const columns = [ordinalColumn, ...names].map(sqlIdentifier)
  try {
    await db.query(
      `CREATE UNLOGGED TABLE ${table} (${[`${columns[0]} int8`, ...typed.map(({ type }, i) => `${columns[i + 1]} ${sqlTypeName(type)}`)].join(', ')})`,
    )
  } catch (cause) {
    // 42: invalid or duplicate column names; 54: more columns than a table can have
    if (!/^(42|54)/.test(sqlState(cause))) throw cause
    throw new LockstepError('SPINE_INVALID', `${what} cannot be loaded as a table: ${messageOf(cause)}. Rename or remove columns.`, {
      cause,
    })
  }

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const batch of file.batches(names)) {
      const ordinals = Array.from({ length: batch.rows }, (_, i) => batch.firstRow + i)
      for (const chunk of encoder.encode({ ...batch, columns: [ordinals, ...batch.columns] })) {
        signal?.throwIfAborted()
        yield chunk
      }
    }
    yield* encoder.finish()
  }
  await db.copyIn(`COPY ${table} (${columns.join(', ')}) FROM STDIN (FORMAT binary)`, chunks())
  return { time: assigned.time, roles: typed.map(({ role, type }) => ({ ...role, type })) }
}

function targetType(role: SpineRole, from: FileColumn, what: string): NonNullable<SpineRole['type']> {
  const wanted = role.type ?? from.type
  if (wanted === null) {
    throw new LockstepError(
      'SPINE_INVALID',
      `${what} has a column "${role.name}" of the type ${from.described}, which cannot be copied into a training set. Remove it.`,
    )
  }
  const isTime = from.type?.kind === 'timestamp'
  const fits = wanted.kind === 'timestamp' ? isTime || from.type === null || from.type.kind === 'string' : !isTime
  if (fits) return wanted
  throw new LockstepError(
    'SPINE_INVALID',
    `${what} has ${from.described} in its column "${role.name}", but ${typeName(wanted)} is needed. Convert the column.`,
  )
}
