import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'

/**
 * The role of a spine column. A key or request value has the service's type, the time column is a time, and any other
 * column keeps its own type.
 */
export interface SpineRole {
  readonly name: string
  /** null: any type. */
  readonly type: ColumnType | null
  readonly use: 'key' | 'request' | 'time' | 'other'
}

/** A column as the file or the query has it. */
export interface FoundColumn {
  readonly name: string
  /** null: text of any kind, or an unknown type. */
  readonly type: ColumnType | null
}

/** The columns of a spine that the user names. */
export interface SpineNames {
  /** The time column. */
  readonly time: string | undefined
  /** The columns that are copied; null: all. */
  readonly carried: readonly string[] | null
}

const timeNames = ['event_timestamp', 'timestamp']

/**
 * Finds the time, the keys and the request values among the columns of a spine.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`, `FEATURE_NAME_CLASH`
 */
export function assignRoles(
  service: ServicePlan,
  found: readonly FoundColumn[],
  { time, carried }: SpineNames,
  what: string,
): { readonly time: string; readonly roles: SpineRole[] } {
  const names = new Set(found.map((column) => column.name))
  const has = `it has ${listed(found)}`
  const taken = [...service.keys, ...service.request].filter(({ type }) => type.kind !== 'timestamp').map(({ name }) => name)
  const timeColumn = findTime(found, new Set(taken), time, what)
  for (const key of service.keys) {
    if (!names.has(key.name))
      throw new LockstepError(
        'SPINE_INVALID',
        `${what} lacks the key "${key.name}" (${typeName(key.type)}) of "${service.id}"; ${has}. Add or rename a column.`,
      )
  }
  for (const request of service.request) {
    if (!names.has(request.name)) {
      throw new LockstepError(
        'MISSING_REQUEST_VALUE',
        `${what} lacks the request value "${request.name}" (${typeName(request.type)}) of "${service.id}"; ${has}. Add or rename a column.`,
      )
    }
  }
  for (const feature of service.features) {
    if (!names.has(feature.name) || carried?.includes(feature.name) === false) continue
    throw new LockstepError(
      'FEATURE_NAME_CLASH',
      `${what} has a column "${feature.name}", which is also a feature of "${feature.view}". Rename the column, or leave it out: name the columns to copy (--columns).`,
    )
  }
  const roles = found.map(({ name }): SpineRole => {
    const key = service.keys.find((column) => column.name === name)
    if (key !== undefined) return { name, type: key.type, use: 'key' }
    const request = service.request.find((column) => column.name === name)
    if (request !== undefined) return { name, type: request.type, use: 'request' }
    return name === timeColumn ? { name, type: { kind: 'timestamp' }, use: 'time' } : { name, type: null, use: 'other' }
  })
  const conflicting = roles.find((role) => role.name === timeColumn && role.type?.kind !== 'timestamp')
  if (conflicting !== undefined) {
    throw new LockstepError(
      'SPINE_INVALID',
      `${what} has "${timeColumn}" as its time, but "${service.id}" takes it as a ${conflicting.use} of another type; name another time column.`,
    )
  }
  return { time: timeColumn, roles }
}

/** @param taken names of columns with another role */
function findTime(found: readonly FoundColumn[], taken: ReadonlySet<string>, time: string | undefined, what: string): string {
  if (time !== undefined) {
    if (found.some((column) => column.name === time)) return time
    throw new LockstepError(
      'SPINE_INVALID',
      `${what} has no column "${time}" for its time; it has ${listed(found)}. Name another (--time), or add it.`,
    )
  }
  const typed = found.filter((column) => column.type?.kind === 'timestamp').map((column) => column.name)
  if (typed.length === 1) return typed[0] as string
  const free = (typed.length > 0 ? typed : found.map((column) => column.name)).filter((name) => !taken.has(name))
  const named = free.filter((name) => timeNames.includes(name.toLowerCase()))
  if (named.length === 1) return named[0] as string
  const readable = new Set(found.filter(({ type }) => isTimeOrText(type)).map(({ name }) => name))
  const candidates = free.filter((name) => readable.has(name))
  if (candidates.length === 0) {
    throw new LockstepError(
      'SPINE_INVALID',
      `${what} has no column for its time; it has ${listed(found)}. Add one, and call it "event_timestamp".`,
    )
  }
  throw new LockstepError(
    'SPINE_INVALID',
    `${what} does not say which column is its time. Possible: ${quotedNames(candidates)}. Name it (--time), or call it "event_timestamp".`,
  )
}

function isTimeOrText(type: ColumnType | null): boolean {
  return type === null || type.kind === 'timestamp' || type.kind === 'string'
}

function listed(found: readonly FoundColumn[]): string {
  return found.map(({ name }) => `"${name}"`).join(', ') || 'no columns at all'
}
