import type { EntitySpec } from '../../kernel/specs/view-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, define, describe } from './definition.ts'
import { checkFieldName, checkName } from './names.ts'
import type { KeyTypes } from './t.ts'
import { checkKeyType } from './t.ts'

/**
 * The subject of features, such as an airport or a user. Its key has one or more typed parts, or none for global
 * features.
 */
export interface Entity<N extends string = string, K extends KeyTypes = KeyTypes> {
  readonly kind: 'entity'
  readonly name: N
  readonly key: K
  readonly spec: EntitySpec
  readonly described: Description
}

/**
 * Declares an entity.
 *
 * @example export const airport = entity('airport', { key: { airport: t.string } })
 * @throws LockstepError `INVALID_NAME`, `INVALID_TYPE`
 */
export function entity<const N extends string, const K extends KeyTypes>(name: N, body: { readonly key: K } & Description): Entity<N, K> {
  const what = `The entity "${checkName(name, 'An entity')}"`
  checkBody(body, what, ['key'])
  const key = Object.entries(body.key ?? {}).map(([part, type]) => {
    const place = `The key "${part}" of entity "${name}"`
    return Object.freeze({ name: checkFieldName(part, place), type: checkKeyType(type, place) })
  })
  return define({
    kind: 'entity',
    name,
    key: Object.freeze({ ...body.key }),
    spec: Object.freeze({ name, key: Object.freeze(key) }),
    described: describe(body, what),
  })
}
