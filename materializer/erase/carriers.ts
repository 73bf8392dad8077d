import type { EntityKey } from '../../kernel/entity-key.ts'
import { encodeKey } from '../../kernel/entity-key.ts'
import type { Column, KeyType, Value } from '../../kernel/value-type.ts'
import type { DefinitionId, EntitySpec, SourceSpec } from '../../kernel/view-spec.ts'
import { definitionId } from '../../kernel/view-spec.ts'
import type { Definition } from '../../registry/definition.ts'
import { sourceRelation } from '../../runtime/relation.ts'

/** A relation that holds rows of an entity, and the columns that hold its key, in the key's order. */
export interface Carrier {
  readonly source: string
  /** The SQL after FROM. */
  readonly relation: string
  /** Whether Lockstep made the table, and so deletes from it. */
  readonly owned: boolean
  readonly columns: readonly string[]
}

/**
 * Every relation of the registry that holds rows of an entity. Includes retired sources and views, because their tables
 * stay.
 */
export function carriersOf(entity: EntitySpec, definitions: readonly Definition[]): Carrier[] {
  const sources = definitions.flatMap((definition) =>
    definition.kind === 'source' ? [definition.spec] : definition.kind === 'view' ? [definition.spec.source] : [],
  )
  const carriers = new Map<string, Carrier>()
  for (const source of sources) {
    const columns = keyColumnsOf(source, entity.key)
    if (columns === null) continue
    const carrier = { source: source.name, relation: sourceRelation(source), owned: source.relation.kind === 'owned', columns }
    carriers.set(JSON.stringify([carrier.relation, columns]), carrier)
  }
  return [...carriers.values()]
}

/** Returns null where the source lacks a part of the key. */
export function keyColumnsOf(source: SourceSpec, key: readonly Column<KeyType>[]): string[] | null {
  const columns = key.map((part) => source.key.find((mapped) => mapped.part === part.name)?.column)
  return columns.every((column) => column !== undefined) ? columns : null
}

/** The views of an entity, including retired ones, each with its own key columns. */
export function viewsOf(
  entity: EntitySpec,
  values: readonly Value[],
  definitions: readonly Definition[],
): { readonly view: DefinitionId; readonly key: EntityKey }[] {
  return definitions.flatMap((definition) => {
    if (definition.kind !== 'view' || definition.spec.entity.name !== entity.name) return []
    return [{ view: definitionId(definition), key: encodeKey(definition.spec.entity.key, values) }]
  })
}
