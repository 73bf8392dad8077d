import { LockstepError } from '../../kernel/errors.ts'
import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { Spine } from './spine.ts'
import { ordinalColumn } from './spine.ts'

const ordinal = `s.${sqlIdentifier(ordinalColumn)}`

/**
 * The lookups of a spine under some mappings, ordered by key and time: key parts, time, ordinal, number of the mapping.
 * A row with a NULL in the key has no lookup.
 */
export function lookupsSelect(
  spine: Spine,
  key: readonly Column<KeyType>[],
  mappings: readonly { readonly columns: readonly string[] }[],
): string {
  const time = columnSql(spine, spine.time)
  const selects = mappings.map(({ columns }, mapping) => {
    const parts = columns.map((name, i) => `${columnSql(spine, name)} AS k${i}`)
    const present = columns.map((name) => `${columnSql(spine, name)} IS NOT NULL`)
    return `SELECT ${[...parts, `${time} AS t`, `${ordinal} AS o`, `${mapping} AS m`].join(', ')} FROM ${spine.table} s WHERE ${present.join(' AND ') || 'true'}`
  })
  const keys = key.map(({ type }, i) => (type.kind === 'string' ? `q.k${i} COLLATE "C"` : `q.k${i}`))
  return `SELECT ${[...keys, 'q.t', 'q.o', 'q.m'].join(', ')} FROM (${selects.join(' UNION ALL ')}) q ORDER BY ${[...keys, 'q.t'].join(', ')}`
}

/** The distinct keys of a spine under some mappings. */
export function keysSelect(
  spine: Spine,
  key: readonly Column<KeyType>[],
  mappings: readonly { readonly columns: readonly string[] }[],
): string {
  const part = (name: string, i: number): string => `${columnSql(spine, name)}${key[i]?.type.kind === 'string' ? ' COLLATE "C"' : ''}`
  return mappings.map(({ columns }) => `SELECT ${columns.map(part).join(', ')} FROM ${spine.table} s`).join(' UNION ')
}

/** The first and the last key of a spine under one mapping, as texts; null where all of them have a NULL. */
export function keyEndsSelect(spine: Spine, key: readonly Column<KeyType>[], { columns }: { readonly columns: readonly string[] }): string {
  const parts = columns.map((name, i) => `${columnSql(spine, name)}${key[i]?.type.kind === 'string' ? ' COLLATE "C"' : ''}`)
  const present = columns.map((name) => `${columnSql(spine, name)} IS NOT NULL`).join(' AND ')
  const texts = `ARRAY[${parts.map((part) => `(${part})::text`).join(', ')}]`
  const end = (direction: string): string =>
    `(SELECT ${texts} FROM ${spine.table} s WHERE ${present} ORDER BY ${parts.map((part) => `${part} ${direction}`).join(', ')} LIMIT 1)`
  return `SELECT ${end('ASC')} AS first, ${end('DESC')} AS last`
}

/** The spine itself, in its own order: ordinal, time, columns. */
export function rowsSelect(spine: Spine): string {
  return `SELECT ${[ordinal, columnSql(spine, spine.time), ...spine.columns.map((column) => column.sql)].join(', ')} FROM ${spine.table} s ORDER BY ${ordinal}`
}

export function columnSql(spine: Pick<Spine, 'columns'>, name: string): string {
  const column = spine.columns.find((c) => c.name === name)
  if (column === undefined) throw new LockstepError('SPINE_INVALID', `The spine has no column "${name}"; add it.`)
  return column.sql
}
