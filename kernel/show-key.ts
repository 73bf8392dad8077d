import type { EntityKey } from './entity-key.ts'
import { decodeKey } from './entity-key.ts'
import type { Column, KeyType } from './value-type.ts'
import { show } from './value-type.ts'

/** `"airport" = "ATL", "carrier" = "DL"`, of long text the start: a key in messages. */
export function showKey(parts: readonly Column<KeyType>[], key: EntityKey): string {
  const values = decodeKey(parts, key)
  return parts.map(({ name }, i) => `"${name}" = ${show(values[i])}`).join(', ')
}
