import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { ViewUseSpec } from '../../kernel/specs/service-spec.ts'
import type { DefinitionId, EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { Definition } from '../../registry/definition.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'

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
  const add = (source: SourceSpec, columns: readonly string[] | null): void => {
    if (columns === null) return
    const carrier = { source: source.name, relation: sourceRelation(source), owned: source.relation.kind === 'owned', columns }
    carriers.set(JSON.stringify([carrier.relation, columns]), carrier)
  }
  for (const source of sources) {
    add(
      source,
      keyColumnsOf(
        source,
        entity.key.map(({ name }) => name),
      ),
    )
  }
  const usesOf = entityUses(entity.name, definitions)
  for (const definition of definitions) {
    if (definition.kind !== 'outcome' || definition.spec.match.kind !== 'entity') continue
    // the source's key has the names of the request's columns, which are others if the view is used under an alias
    const { model, source } = definition.spec
    for (const each of definitions) {
      if (each.kind !== 'model' || each.name !== model) continue
      for (const { key } of usesOf(each.spec.service)) add(source, keyColumnsOf(source, key))
    }
  }
  return [...carriers.values()]
}

/** How services read an entity, in their order: directly, and as inputs of on-demand views. */
export function entityUses(entity: string, definitions: readonly Definition[]): (service: DefinitionId) => ViewUseSpec[] {
  const ofEntity = new Set<string>()
  const reads = new Map<DefinitionId, readonly (ViewUseSpec | DefinitionId)[]>()
  for (const definition of definitions) {
    const { kind } = definition
    const id = definitionId(definition)
    if (kind === 'view' && definition.spec.entity.name === entity) ofEntity.add(id)
    if (kind === 'onDemand') {
      const inputs = definition.spec.inputs.map((input) => ('use' in input ? input.use : input.onDemand))
      reads.set(id, inputs)
    }
  }
  const members = new Map(
    definitions.flatMap((each) => (each.kind === 'service' ? [[definitionId(each), each.spec.members] as const] : [])),
  )
  const usesOf = (read: ViewUseSpec | DefinitionId): ViewUseSpec[] =>
    typeof read === 'string' ? (reads.get(read) ?? []).flatMap(usesOf) : ofEntity.has(read.view) ? [read] : []
  return (service) => (members.get(service) ?? []).flatMap((member) => usesOf(member.kind === 'view' ? member.use : member.view))
}

/** Returns null where the source lacks a part of the key. */
function keyColumnsOf(source: SourceSpec, parts: readonly string[]): string[] | null {
  const columns = parts.map((part) => source.key.find((mapped) => mapped.part === part)?.column)
  return columns.every((column) => column !== undefined) ? columns : null
}

/**
 * The views of other entities, including retired ones, that read users' relations with rows of an entity. `containing`:
 * their keys contain its key.
 */
export function readersOfUserTables(
  entity: EntitySpec,
  definitions: readonly Definition[],
): { readonly view: DefinitionId; readonly source: string; readonly entity: string; readonly containing: boolean }[] {
  const carrying = new Set(carriersOf(entity, definitions).map(({ source }) => source))
  return definitions.flatMap((definition) => {
    if (definition.kind !== 'view') return []
    const { source, entity: own } = definition.spec
    if (own.name === entity.name || source.relation.kind === 'owned' || !carrying.has(source.name)) return []
    const containing = entity.key.every((part) => own.key.some(({ name }) => name === part.name))
    return [{ view: definitionId(definition), source: source.name, entity: own.name, containing }]
  })
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
