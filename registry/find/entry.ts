import { streamName } from '../../kernel/specs/stream-spec.ts'
import { filesName } from '../../kernel/specs/files-spec.ts'
import { durationText } from '../../kernel/values/duration.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import type { Availability, SourceRelation } from '../../kernel/specs/view-spec.ts'
import { watchedName } from '../monitor-spec.ts'
import type { Definition } from '../definition.ts'
import { kindNames, kindOrder, labelOf } from '../definition.ts'
import { championAlias } from '../models/model-aliases.ts'
import type { LineageNode, NodeKind } from './graph.ts'
import { graphOf, nodeKey } from './graph.ts'
import type { Inventory } from './inventory.ts'

export type EntryKind = Definition['kind'] | 'dataset'

/** In the order of lists. */
export const entryKinds: readonly EntryKind[] = [...kindOrder, 'dataset']

/** The name of each kind of entry and node for users. */
export const nodeNames: Readonly<Record<NodeKind, string>> = {
  ...kindNames,
  dataset: 'training set',
  modelVersion: 'model version',
  table: 'table',
  query: 'query of source',
  stream: 'stream',
}

/** An entry of lists: a definition in its newest version, or a training set. */
export interface Entry {
  readonly kind: EntryKind
  /** Without a version; the id of a training set. */
  readonly name: string
  /** The newest one; null for entities, sources and training sets, and for a model that has none. */
  readonly version: number | null
  /** Those in the registry that are not pruned, ascending; of a model, the pushed ones. */
  readonly versions: readonly number[]
  readonly description: string | null
  readonly owner: string | null
  readonly tags: readonly string[]
  /** What it is, in a few words: `4 features of airport, from landings`. */
  readonly about: string
  /** The number of its features; null for kinds without. */
  readonly features: number | null
  /** What uses it directly, in any of its versions. */
  readonly usedBy: readonly Use[]
}

/** A node of the lineage, as another refers to it. */
export type Use = Pick<LineageNode, 'kind' | 'name'>

export interface EntryFilter {
  readonly kinds?: readonly EntryKind[] | undefined
  readonly owner?: string | undefined
  /** All of them. */
  readonly tags?: readonly string[] | undefined
}

/** All entries by kind and name; training sets newest first. Retired definitions are not among them. */
export const entriesOf = memoizeWeak((inventory: Inventory): readonly Entry[] => {
  const current = inventory.definitions.filter(({ retired }) => !retired)
  const groups = Map.groupBy(current, ({ kind, name }) => `${kind} ${name}`)
  const definitions = [...groups.values()]
    .flatMap((versions) => definitionEntry(inventory, versions))
    // the order of names is not that of a database's collation, as pages of a list depend on it
    .sort((a, b) => entryKinds.indexOf(a.kind) - entryKinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1))
  return [...definitions, ...inventory.datasets.map((set) => datasetEntry(inventory, set))]
})

export function filterEntries(entries: readonly Entry[], { kinds, owner, tags = [] }: EntryFilter): Entry[] {
  return entries.filter(
    (entry) =>
      (kinds === undefined || kinds.includes(entry.kind)) &&
      (owner === undefined || entry.owner?.toLowerCase() === owner.toLowerCase()) &&
      tags.every((tag) => entry.tags.some((each) => each.toLowerCase() === tag.toLowerCase())),
  )
}

/** @param versions of one definition, ascending */
function definitionEntry(inventory: Inventory, versions: readonly Definition[]): Entry[] {
  const newest = versions.at(-1)
  if (newest === undefined) return []
  const { kind, name, operational } = newest
  const pushed = inventory.versions.filter(({ model }) => kind === 'model' && model === name).map(({ version }) => version)
  const numbers = kind === 'model' ? pushed : versions.map(({ version }) => version).filter((version) => version > 0)
  return [
    {
      kind,
      name,
      version: numbers.at(-1) ?? null,
      versions: numbers,
      description: operational.description ?? null,
      owner: operational.owner ?? null,
      tags: operational.tags ?? [],
      about: aboutText(inventory, newest),
      features: featureCount(newest),
      usedBy: usersOf(
        inventory,
        versions.map((each) => ({ kind: each.kind, name: labelOf(each) })),
      ),
    },
  ]
}

function datasetEntry(inventory: Inventory, { id, service, rows, paths }: Inventory['datasets'][number]): Entry {
  const usedBy = usersOf(inventory, [{ kind: 'dataset', name: id }])
  const about = `${rows.toLocaleString('en-US')} row${rows === 1 ? '' : 's'} of ${service}, ${paths.join(', ')}`
  return { kind: 'dataset', name: id, version: null, versions: [], description: null, owner: null, tags: [], about, features: null, usedBy }
}

/** The users of any of these nodes, each once. Retired ones use nothing any more. */
export function usersOf(inventory: Inventory, of: readonly Use[]): Use[] {
  const { nodes, outputs } = graphOf(inventory)
  const users = new Set(of.flatMap((each) => outputs.get(nodeKey(each)) ?? []))
  return [...users].flatMap((key) => {
    const node = nodes.get(key)
    return node === undefined || node.retired ? [] : [{ kind: node.kind, name: node.name }]
  })
}

function featureCount(definition: Definition): number | null {
  switch (definition.kind) {
    case 'view':
    case 'onDemand':
      return definition.spec.features.length
    case 'service':
      return definition.spec.members.reduce((sum, { features }) => sum + features.length, 0)
    default:
      return null
  }
}

function aboutText({ versions, aliases }: Inventory, definition: Definition): string {
  const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`
  const features = counted(featureCount(definition) ?? 0, 'feature')
  switch (definition.kind) {
    case 'entity':
      return definition.spec.key.length === 0 ? 'one for all: no key' : `key ${columnsText(definition.spec.key)}`
    case 'source': {
      const { files } = definition.operational
      const rows = files === undefined ? relationText(definition.spec.relation) : filesName(files)
      return `${rows}, ${counted(definition.spec.columns.length, 'column')}`
    }
    case 'view':
      return `${features} of ${definition.spec.entity.name}, from ${definition.spec.source.name}, ${availabilityText(definition.spec.availability)}`
    case 'onDemand':
      return `${features}, computed on request`
    case 'service':
      return `${features} of ${[...new Set(definition.spec.members.map((member) => (member.kind === 'view' ? member.use.view : member.view)))].join(', ')}`
    case 'model': {
      const pushed = versions.filter(({ model }) => model === definition.name).length
      const champion = aliases.find(({ model, alias }) => model === definition.name && alias === championAlias)?.version
      return `takes ${definition.spec.service}; ${counted(pushed, 'version')}${champion === undefined ? '' : `, champion ${champion}`}`
    }
    case 'outcome': {
      const { model, source, withinMicros } = definition.spec
      return `what came of ${model} within ${durationText(withinMicros)}, from ${source.name}`
    }
    case 'channel':
      return `${definition.spec.kind}, for ${definition.spec.severities.map((each) => `${each}s`).join(' and ')}`
    case 'monitor': {
      const { checks, everyMicros, severity } = definition.spec
      return `${checks.map(({ kind }) => kind).join(', ')} of ${watchedName(definition.spec)}, every ${durationText(everyMicros)}, ${severity}`
    }
    case 'experiment': {
      const { variants, model, unit } = definition.spec
      return `${variants.map(({ name, serves }) => `${name} ${serves}`).join(', ')} of ${model}, by ${unit}`
    }
    case 'batch':
      return `of ${definition.spec.model}, by ${definition.spec.schedule}, into ${definition.spec.out}`
    case 'training': {
      const { model, trainer, schedule } = definition.spec
      return `of ${model} by ${trainer}${schedule === null ? '' : `, by ${schedule}`}`
    }
    case 'pipeline':
      return `${definition.spec.source} by ${definition.spec.model}, to the ${streamName(definition.spec.sink)}`
    default:
      return definition satisfies never
  }
}

/** `airport string, carrier int32` */
function columnsText(columns: readonly Column<ValueType>[]): string {
  return columns.map(({ name, type }) => `${name} ${typeName(type)}`).join(', ')
}

/** `continuous`, or the schedule and its delay: every 5 minutes, one minute later, is `*\/5 * * * * + 1 min`. */
export function availabilityText(availability: Availability): string {
  return availability.kind === 'continuous'
    ? 'continuous'
    : `schedule ${availability.schedule}, delay ${durationText(availability.delayMicros)}`
}

/** Where the rows of a source are. */
function relationText(relation: SourceRelation): string {
  switch (relation.kind) {
    case 'owned':
      return 'its own table'
    case 'table':
      return `table ${relation.table}`
    case 'sql':
      return 'a query'
    default:
      return relation satisfies never
  }
}
