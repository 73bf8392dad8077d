import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { decodeKey } from '../../kernel/values/entity-key.ts'
import type { Column, KeyType, Scalar, Value } from '../../kernel/values/value-type.ts'
import type { DefinitionId, EntitySpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { noBytes } from '../../online/store.ts'
import { storedDefinitions } from '../../registry/definition.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** The parts of an erased key, as text by name. */
export type KeyParts = Readonly<Record<string, string>>

export function keyParts({ key }: EntitySpec, values: readonly Value[]): KeyParts {
  return Object.fromEntries(key.map(({ name }, i) => [name, (values[i] as Scalar).toString()]))
}

/**
 * Removes the states of a view whose keys contain one of some erased keys. Goes through all keys of the view, a group
 * at a time: the rows that would name the states may be deleted. Repeating it is harmless.
 */
export async function removeContaining(
  db: Pick<Database, 'kysely'>,
  store: OnlineStore,
  { view, entity }: { readonly view: DefinitionId; readonly entity: string },
  erased: readonly KeyParts[],
  signal?: AbortSignal,
): Promise<void> {
  const definition = (await storedDefinitions(db.kysely)).find((each) => each.kind === 'view' && definitionId(each) === view)
  if (definition?.kind !== 'view') return
  const contains = containsOneOf(erased, definition.spec.entity.key)
  for await (const group of store.keys(view, entity)) {
    signal?.throwIfAborted()
    const keys = group.filter(contains)
    if (keys.length === 0) continue
    await removeStates(
      store,
      keys.map((key) => ({ view, entity, key })),
    )
    // the record of an entity that was set aside names its key
    await db.kysely
      .deleteFrom('lockstep.set_aside')
      .where('view', '=', view)
      .where(
        'key',
        'in',
        keys.map((key) => Buffer.from(key, 'latin1')),
      )
      .execute()
  }
}

/** Parts are compared as text, because two entities may give the same column different types. */
function containsOneOf(erased: readonly KeyParts[], columns: readonly Column<KeyType>[]): (key: EntityKey) => boolean {
  const namesOf = (parts: KeyParts) => columns.flatMap(({ name }, i) => (Object.hasOwn(parts, name) ? [i] : []))
  const groups = [...Map.groupBy(erased, (parts) => namesOf(parts).join())].map(([, some]) => {
    const at = namesOf(some[0] ?? {})
    return { at, texts: new Set(some.map((parts) => JSON.stringify(at.map((i) => parts[columns[i]?.name ?? ''])))) }
  })
  return (key) => {
    const values = decodeKey(columns, key)
    return groups.some(({ at, texts }) => texts.has(JSON.stringify(at.map((i) => (values[i] as Scalar).toString()))))
  }
}

/** Removes the stored states, whatever they are. */
export async function removeStates(store: OnlineStore, states: readonly OnlineKey[]): Promise<void> {
  for (let left = states.map(({ view, entity, key }) => ({ view, entity, key })); left.length > 0;) {
    const stored = await store.read(left)
    const present = left.flatMap((key, i) => (stored[i] ? [{ ...key, expected: stored[i], bytes: noBytes }] : []))
    const removed = await store.write(present)
    left = present.filter((_, i) => removed[i] !== true)
  }
}
