import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'

/**
 * Checks the name of a definition or an alias.
 *
 * @throws LockstepError `INVALID_NAME`
 */
export function checkName(name: unknown, what: string): string {
  if (typeof name === 'string' && name.length <= 63 && /^[a-z][a-z0-9_]*$/.test(name)) return name
  throw new LockstepError(
    'INVALID_NAME',
    `${what} cannot be called ${show(name)}; a name is 1 to 63 lower-case letters, digits and underscores, and begins with a letter.`,
  )
}

/**
 * Checks the name of a feature, a key part, request data or an input. Two consecutive underscores are reserved for
 * aliases.
 *
 * @throws LockstepError `INVALID_NAME`
 */
export function checkFieldName(name: string, what: string): string {
  if (name.length <= 63 && /^[A-Za-z][A-Za-z0-9_]*$/.test(name) && !name.includes('__')) return name
  throw new LockstepError(
    'INVALID_NAME',
    `${what} cannot be called ${show(name)}; a name is 1 to 63 letters, digits and single underscores, and begins with a letter.`,
  )
}

/**
 * Checks the name of a column in the user's table. Any name that a database allows is valid; PostgreSQL truncates
 * longer ones.
 */
export function checkColumnName(name: unknown, what: string): string {
  if (typeof name === 'string' && name !== '' && !name.includes('\0')) {
    if (Buffer.byteLength(name) <= 63) return name
    throw new LockstepError(
      'INVALID_NAME',
      `${what} is ${show(name)}, which is ${Buffer.byteLength(name)} bytes long; a column's name has at most 63.`,
    )
  }
  throw new LockstepError('INVALID_NAME', `${what} is ${show(name)}; write the name of a column.`)
}

export function checkVersion(version: unknown, what: string): number {
  if (Number.isSafeInteger(version) && (version as number) >= 1 && (version as number) < 2 ** 31) return version as number
  throw new LockstepError('DEFINITIONS_INVALID', `${what} has the version ${show(version)}; write a whole number from 1, as in version: 1.`)
}
