import { LockstepError } from '../errors.ts'
import type { EntityKey } from './entity-key.ts'
import { decodeKey } from './entity-key.ts'
import type { Column, KeyType } from './value-type.ts'
import { show } from './value-type.ts'

/** `"airport" = "ATL", "carrier" = "DL"`, of long text the start: a key in messages. */
export function showKey(parts: readonly Column<KeyType>[], key: EntityKey): string {
  const values = decodeKey(parts, key)
  return parts.map(({ name }, i) => `"${name}" = ${show(values[i])}`).join(', ')
}

/** The failure of a transform, with the key of the row that it failed on; any other as it is. */
export function namingKey(parts: readonly Column<KeyType>[], key: EntityKey, error: unknown): unknown {
  return namingRow(error, () => `The row is one of ${showKey(parts, key)}.`)
}

/** The failure of a transform, with the sentence that names the row it failed on; any other as it is. */
export function namingRow(error: unknown, sentence: () => string): unknown {
  if (!(error instanceof LockstepError) || (error.code !== 'TRANSFORM_FAILED' && error.code !== 'TRANSFORM_TIMEOUT')) return error
  const { code, message, cause, details } = error
  return new LockstepError(code, `${message} ${sentence()}`, { cause, details })
}
