import type { EntityKey } from '../values/entity-key.ts'
import { decodeKey } from '../values/entity-key.ts'
import { LockstepError } from '../errors.ts'
import { showKey } from '../values/show-key.ts'
import type { Column, KeyType } from '../values/value-type.ts'

/** The error of a feature that counts categories and has found more than its cap. */
export function tooManyCategories({
  view,
  feature,
  cap,
}: {
  readonly view: string
  readonly feature: string
  readonly cap: number
}): LockstepError {
  return new LockstepError(
    'TOO_MANY_CATEGORIES',
    `The feature "${feature}" of "${view}" has more than ${cap} categories, its cap. Derive a column with fewer categories, or use a higher cap or a shorter window in a new version.`,
    { details: { view, feature, cap } },
  )
}

/**
 * Adds the entity to such an error: to its message, and to its details as `key`, by the parts' names. Returns any other
 * error unchanged.
 *
 * @param parts the key of the view's entity
 */
export function ofEntity(parts: readonly Column<KeyType>[], key: EntityKey, error: unknown): unknown {
  if (!(error instanceof LockstepError) || error.code !== 'TOO_MANY_CATEGORIES' || parts.length === 0) return error
  const values = decodeKey(parts, key)
  return new LockstepError(error.code, `${error.message} The entity is ${showKey(parts, key)}.`, {
    cause: error,
    details: { ...error.details, key: Object.fromEntries(parts.map(({ name }, i) => [name, values[i]])) },
  })
}
