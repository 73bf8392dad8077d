import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sourceTableName } from '../../runtime/postgres/relation.ts'
import type { Definition } from '../definition.ts'
import { definitionKey, labelOf, references } from '../definition.ts'
import { sourcesIn } from '../changes/source-readers.ts'
import type { Inventory } from './inventory.ts'

/**
 * What a node of the lineage can be. Besides definitions there are the tables, queries and streams that sources read,
 * pushed versions of models, and training sets.
 */
export type NodeKind = (typeof nodeKinds)[number]
export const nodeKinds = [
  'table',
  'query',
  'stream',
  'entity',
  'source',
  'view',
  'onDemand',
  'service',
  'dataset',
  'modelVersion',
  'model',
  'outcome',
  'monitor',
  'channel',
  'experiment',
  'batch',
  'pipeline',
  'training',
] as const

export interface LineageNode {
  readonly kind: NodeKind
  /** `airport_delays@1`, `landings`, the id of a training set; a query has the name of its source. */
  readonly name: string
  /** It was pruned or deleted, and others still refer to it. */
  readonly retired: boolean
}

export interface LineageEdge {
  readonly from: NodeKey
  readonly to: NodeKey
}

/** `view airport_delays@1` */
export type NodeKey = `${NodeKind} ${string}`

/** Who is computed from whom. Edges go the way that data goes: from a table to a source, a view, a service, a model. */
export interface Graph {
  readonly nodes: ReadonlyMap<NodeKey, LineageNode>
  /** What each node is made from. */
  readonly inputs: ReadonlyMap<NodeKey, readonly NodeKey[]>
  /** What is made from each node. */
  readonly outputs: ReadonlyMap<NodeKey, readonly NodeKey[]>
}

export function nodeKey({ kind, name }: { readonly kind: NodeKind; readonly name: string }): NodeKey {
  return `${kind} ${name}`
}

/** Made once for each inventory. */
export const graphOf = memoizeWeak((inventory: Inventory): Graph => {
  const nodes = new Map<NodeKey, LineageNode>()
  const inputs = new Map<NodeKey, Set<NodeKey>>()
  const outputs = new Map<NodeKey, Set<NodeKey>>()
  const add = (kind: NodeKind, name: string, retired = false): NodeKey => {
    const key = nodeKey({ kind, name })
    if (!nodes.has(key)) nodes.set(key, { kind, name, retired })
    return key
  }
  const link = (from: NodeKey, to: NodeKey): void => {
    outputs.set(from, (outputs.get(from) ?? new Set()).add(to))
    inputs.set(to, (inputs.get(to) ?? new Set()).add(from))
  }
  const { definitions, versions, datasets } = inventory
  for (const definition of definitions) add(definition.kind, labelOf(definition), definition.retired)
  for (const definition of definitions) {
    const own = definitionKey(definition)
    if (definition.kind === 'source') {
      link(addRelation(add, definition.spec), own)
      const { stream } = definition.operational
      if (stream !== undefined) link(add('stream', streamName(stream)), own)
    }
    for (const read of sourcesIn(definition)) {
      const source = add('source', read.name, true)
      // it keeps reading what its source was when it was applied
      link(addRelation(add, read), source)
      link(source, own)
    }
    if (definition.kind === 'view') link(add('entity', definition.spec.entity.name, true), own)
    if (definition.kind === 'pipeline') link(own, add('stream', streamName(definition.spec.sink)))
    for (const reference of references(definition)) {
      const other = addMissing(add, reference)
      if (reference.startsWith('channel ')) link(own, other)
      else link(other, own)
    }
  }
  for (const { id, service } of datasets) link(add('service', service, true), add('dataset', id))
  for (const version of versions) {
    const own = add('modelVersion', `${version.model}@${version.version}`)
    link(add('service', version.service, true), own)
    if (version.dataset !== null) link(add('dataset', version.dataset, true), own)
    link(own, add('model', version.model, true))
  }
  const listed = (links: ReadonlyMap<NodeKey, ReadonlySet<NodeKey>>): Map<NodeKey, readonly NodeKey[]> =>
    new Map([...links].map(([key, others]) => [key, [...others]]))
  return { nodes, inputs: listed(inputs), outputs: listed(outputs) }
})

type Add = (kind: NodeKind, name: string, retired?: boolean) => NodeKey

function addRelation(add: Add, source: SourceSpec): NodeKey {
  return source.relation.kind === 'table'
    ? add('table', source.relation.table)
    : source.relation.kind === 'sql'
      ? add('query', source.name)
      : add('table', (sourceTableName(source) ?? source.name).replaceAll('"', ''))
}

function addMissing(add: Add, reference: `${Definition['kind']} ${string}`): NodeKey {
  const at = reference.indexOf(' ')
  return add(reference.slice(0, at) as Definition['kind'], reference.slice(at + 1), true)
}

/** Part of the graph: what one node comes from, what comes from it, or both. */
export interface Lineage {
  readonly of: LineageNode
  /** Those reached, the asked one included; inputs first. */
  readonly nodes: readonly LineageNode[]
  readonly edges: readonly LineageEdge[]
}

export type LineageDirection = 'up' | 'down' | 'both'

/** @param start a node of the graph */
export function lineageOf(graph: Graph, start: LineageNode, direction: LineageDirection): Lineage {
  const edges = new Map<string, LineageEdge>()
  const reached = new Set<NodeKey>([nodeKey(start)])
  const walk = (links: Graph['inputs'], edgeOf: (at: NodeKey, next: NodeKey) => LineageEdge): void => {
    const seen = new Set<NodeKey>([nodeKey(start)])
    const waiting: NodeKey[] = [nodeKey(start)]
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      for (const next of links.get(at) ?? []) {
        const edge = edgeOf(at, next)
        edges.set(`${edge.from} ${edge.to}`, edge)
        reached.add(next)
        if (!seen.has(next)) waiting.push(next)
        seen.add(next)
      }
    }
  }
  if (direction !== 'down') walk(graph.inputs, (at, next) => ({ from: next, to: at }))
  if (direction !== 'up') walk(graph.outputs, (at, next) => ({ from: at, to: next }))
  const nodes = [...reached].flatMap((key) => graph.nodes.get(key) ?? [])
  const byKind = nodes.toSorted(
    (a, b) => nodeKinds.indexOf(a.kind) - nodeKinds.indexOf(b.kind) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  )
  return { of: start, nodes: byKind, edges: [...edges.values()] }
}
