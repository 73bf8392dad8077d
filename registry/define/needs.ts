import { LockstepError } from '../../kernel/errors.ts'
import { sameType, typeName } from '../../kernel/values/value-type.ts'
import type { Types } from './t.ts'

export type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never
/** Flattens an intersection of object types into one object type. */
export type Flat<T> = T extends Types ? { readonly [K in keyof T]: T[K] } : never

/**
 * Merges the columns that several parts need from a spine or request. Parts may share a column if they agree on its
 * type.
 *
 * @throws LockstepError `INVALID_TYPE` naming the column and both parts
 */
export function mergeNeeds(parts: readonly { readonly needs: Types; readonly of: string }[], what: string): Types {
  const merged = new Map<string, { type: Types[string]; of: string }>()
  for (const { needs, of } of parts) {
    for (const [column, type] of Object.entries(needs)) {
      const other = merged.get(column)
      if (other === undefined) merged.set(column, { type, of })
      else if (!sameType(other.type, type)) {
        throw new LockstepError(
          'INVALID_TYPE',
          `The ${what} needs "${column}" as ${typeName(other.type)} for ${other.of} and as ${typeName(type)} for ${of}; rename one of them, with .as(…) where it is a key.`,
        )
      }
    }
  }
  return Object.freeze(Object.fromEntries([...merged].map(([column, { type }]) => [column, type])))
}
