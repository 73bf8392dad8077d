import type { EntityKey } from '../../kernel/entity-key.ts'
import { encodeKey } from '../../kernel/entity-key.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { OutcomeSpec } from '../../kernel/outcome-spec.ts'
import type { ViewUseSpec } from '../../kernel/service-spec.ts'
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
  for (const definition of definitions) {
    if (definition.kind !== 'outcome' || definition.spec.match.kind !== 'entity') continue
    // the source's key has the names of the request's columns, which are others if the view is used under an alias
    for (const { key } of usesOf(definition.spec, entity.name, definitions))
      add(definition.spec.source, keyColumnsOf(definition.spec.source, key))
  }
  return [...carriers.values()]
}

/** How the service of an outcome's model reads an entity. */
function usesOf({ model }: OutcomeSpec, entity: string, definitions: readonly Definition[]): ViewUseSpec[] {
  const ofViews = new Set<string>()
  const onDemand = new Map<string, (ViewUseSpec | DefinitionId)[]>()
  for (const definition of definitions) {
    if (definition.kind === 'view' && definition.spec.entity.name === entity) ofViews.add(definitionId(definition))
    if (definition.kind === 'onDemand')
      onDemand.set(
        definitionId(definition),
        definition.spec.inputs.map((input) => ('use' in input ? input.use : input.onDemand)),
      )
  }
  const reads = (used: ViewUseSpec | DefinitionId): ViewUseSpec[] =>
    typeof used === 'string' ? (onDemand.get(used) ?? []).flatMap(reads) : ofViews.has(used.view) ? [used] : []
  const services = definitions.flatMap((each) => (each.kind === 'model' && each.name === model ? [each.spec.service] : []))
  return definitions.flatMap((each) =>
    each.kind === 'service' && services.includes(definitionId(each))
      ? each.spec.members.flatMap((member) => reads(member.kind === 'view' ? member.use : member.view))
      : [],
  )
}

/** Returns null where the source lacks a part of the key. */
function keyColumnsOf(source: SourceSpec, parts: readonly string[]): string[] | null {
  const columns = parts.map((part) => source.key.find((mapped) => mapped.part === part)?.column)
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
