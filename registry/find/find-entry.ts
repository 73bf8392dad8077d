import { LockstepError } from '../../kernel/errors.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { labelOf } from '../definition.ts'
import type { EntryKind } from './entry.ts'
import { nodeNames } from './entry.ts'
import type { LineageNode, NodeKind } from './graph.ts'
import { graphOf, nodeKey, nodeKinds } from './graph.ts'
import type { Inventory } from './inventory.ts'

/** The least part of a training set's id that names it. */
const minIdLength = 4

/**
 * The node that a reference names: `airport_delays`, `airport_delays@1`, `delay@champion`, the beginning of a training
 * set's id, or, where several things have a name, also its kind: `view/airport_delays`. Without a version it is the
 * newest one that is not retired.
 *
 * @param kinds only nodes of these kinds; absent: of any
 * @throws LockstepError `UNKNOWN_DEFINITION` if there is none, or several, which it lists
 */
export function findNode(inventory: Inventory, reference: string, kinds: readonly NodeKind[] = nodeKinds): LineageNode {
  const { kind, name } = parted(reference)
  const allowed = kind === null ? kinds : kinds.filter((each) => each === kind)
  const found = allowed.flatMap((each) => nodeOf(inventory, each, name) ?? [])
  // a table, query or stream is meant only where no definition has its name
  const defined = found.filter(({ kind: of }) => of !== 'table' && of !== 'query' && of !== 'stream')
  const [first, ...others] = defined.length > 0 ? defined : found
  if (first === undefined) throw unknown(inventory, reference, name, kinds)
  if (others.length === 0) return first
  const ways = [first, ...others].map((node) => `"${node.kind}/${node.name}"`).join(' or ')
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `"${reference}" names several things: ${[first, ...others].map((node) => nodeNames[node.kind]).join(', ')}. Write ${ways}.`,
    { details: { name: reference, found: [first, ...others].map(nodeKey) } },
  )
}

function parted(reference: string): { readonly kind: NodeKind | null; readonly name: string } {
  const at = reference.indexOf('/')
  const kind = at < 0 ? undefined : nodeKinds.find((each) => each === reference.slice(0, at))
  return kind === undefined ? { kind: null, name: reference } : { kind, name: reference.slice(at + 1) }
}

function nodeOf(inventory: Inventory, kind: NodeKind, name: string): LineageNode | null {
  const { nodes } = graphOf(inventory)
  const exact = nodes.get(nodeKey({ kind, name }))
  if (exact !== undefined) return exact
  switch (kind) {
    case 'view':
    case 'onDemand':
    case 'service': {
      const versions = inventory.definitions.filter((each) => each.kind === kind && each.name === name)
      const newest = versions.findLast(({ retired }) => !retired) ?? versions.at(-1)
      return newest === undefined ? null : (nodes.get(nodeKey({ kind, name: labelOf(newest) })) ?? null)
    }
    case 'dataset': {
      const begun = name.length < minIdLength ? [] : inventory.datasets.filter(({ id }) => id.startsWith(name))
      return begun.length === 1 ? (nodes.get(nodeKey({ kind, name: begun[0]?.id ?? '' })) ?? null) : null
    }
    case 'modelVersion': {
      const [model = '', alias = ''] = name.split('@')
      const pointed = inventory.aliases.find((each) => each.model === model && each.alias === alias)
      return pointed === undefined ? null : (nodes.get(nodeKey({ kind, name: `${model}@${pointed.version}` })) ?? null)
    }
    default:
      return null
  }
}

function unknown(inventory: Inventory, reference: string, name: string, kinds: readonly NodeKind[]): LockstepError {
  const labels = inventory.definitions.filter(({ kind }) => kinds.includes(kind)).flatMap((each) => [each.name, labelOf(each)])
  const versions = [...new Set(inventory.definitions.filter((each) => each.name === name.replace(/@[^@]*$/, '')).map(labelOf))]
  const [only] = kinds
  const what = kinds.length === 1 && only !== undefined ? `no ${nodeNames[only]}` : 'nothing'
  const hint = versions.length > 0 && name.includes('@') ? ` There is ${versions.join(', ')}.` : didYouMean(name, new Set(labels))
  return new LockstepError(
    'UNKNOWN_DEFINITION',
    `There is ${what} named "${reference}" in the registry.${hint}${searchHint(name.replace(/@.*$/, ''))}`,
    { details: { name: reference } },
  )
}

function searchHint(name: string): string {
  return /^\w+$/.test(name) ? ` "lockstep search ${name}" searches all texts.` : ''
}

/** The plural of each kind, as paths and the command line have it. */
export const plurals: Readonly<Record<string, readonly EntryKind[]>> = {
  entities: ['entity'],
  sources: ['source'],
  views: ['view', 'onDemand'],
  services: ['service'],
  models: ['model'],
  outcomes: ['outcome'],
  monitors: ['monitor'],
  channels: ['channel'],
  experiments: ['experiment'],
  batches: ['batch'],
  pipelines: ['pipeline'],
  trainings: ['training'],
  datasets: ['dataset'],
}
