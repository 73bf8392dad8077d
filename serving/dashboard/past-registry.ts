import { LockstepError } from '../../kernel/errors.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { DefinitionScope } from '../../registry/definition.ts'
import { kindOrder } from '../../registry/definition.ts'
import { firstStateAt } from '../../registry/definition-states.ts'
import { nodeNames } from '../../registry/find/entry.ts'
import { findNode } from '../../registry/find/find-entry.ts'
import type { LineageNode, NodeKind } from '../../registry/find/graph.ts'
import { nodeKinds } from '../../registry/find/graph.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import type { PastInventory } from '../../registry/find/past-inventory.ts'
import { readInventoryAt } from '../../registry/find/past-inventory.ts'
import { cacheFor } from '../../runtime/cache-for.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { inventoryOf } from '../find/inventory-of.ts'
import type { Ask } from './read-model.ts'

/** The parts of a page, and pages of one moment, share a read. */
const keptMs = 3000

const noRead = () => ({ moment: Number.NaN, read: (): Promise<PastInventory> => Promise.reject(new Error()) })
const lastOf = memoizeWeak((_db: Database) => ({ current: noRead(), all: noRead() }))

async function inventoryAt(db: Database, moment: Date, scope: DefinitionScope): Promise<PastInventory> {
  const last = lastOf(db)[scope]
  if (last.moment !== moment.getTime()) {
    last.moment = moment.getTime()
    last.read = cacheFor(keptMs, () => readInventoryAt(db, moment, scope))
  }
  return await last.read()
}

/** The registry at the page's moment. */
export interface KnownRegistry {
  readonly inventory: Inventory
  /** null: the page shows the present. */
  readonly past: PastInventory | null
}

export async function registryAtMoment({ deps, db, now, isPast }: Ask, scope: DefinitionScope = 'current'): Promise<KnownRegistry> {
  if (!isPast) return { inventory: await inventoryOf(deps, scope), past: null }
  const past = await inventoryAt(db, new Date(now / 1000), scope)
  return { inventory: past, past }
}

/** A definition in the registry at the page's moment, or else in that of its first state. */
export interface FoundThen extends KnownRegistry {
  readonly node: LineageNode
  /** A note if the definition did not exist yet. */
  readonly notes: readonly string[]
}

/**
 * @param reference as `findNode` takes it
 * @param scope `current`: the retired definitions are read only if it is none of the others
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export async function findThen(
  ask: Ask,
  reference: string,
  kinds: readonly NodeKind[] = nodeKinds,
  scope: DefinitionScope = 'all',
): Promise<FoundThen> {
  const { inventory, past } = await registryAtMoment(ask, scope)
  try {
    const node = findNode(inventory, reference, kinds)
    if (scope === 'all' || !node.retired) return { inventory, past, node, notes: [] }
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'UNKNOWN_DEFINITION') throw error
    if (scope === 'all') return await firstState(ask, past, reference, kinds, error)
  }
  return await findThen(ask, reference, kinds, 'all')
}

/** A definition in the registry of its first state, if it did not exist at the page's moment; else throws `error`. */
async function firstState(
  ask: Ask,
  past: PastInventory | null,
  reference: string,
  kinds: readonly NodeKind[],
  error: LockstepError,
): Promise<FoundThen> {
  if (past === null) throw error
  const defined = kindOrder.filter((kind) => kinds.includes(kind))
  const first = await firstStateAt(ask.db.kysely, defined, reference.replace(/^[a-zA-Z]+[/ ]/, ''))
  if (first === null || first.getTime() * 1000 <= ask.now) throw error
  // a moment has no more than milliseconds here, and a state may begin within one
  const begun = await inventoryAt(ask.db, new Date(first.getTime() + 1), 'all')
  const node = findNode(begun, reference, kinds)
  const name = `${nodeNames[node.kind]} "${node.name}"`
  const note = `The registry did not have the ${name} then: it was applied first at ${first.toISOString().slice(0, 16).replace('T', ' ')} UTC. This is its first state.`
  return { inventory: begun, past: begun, node, notes: [note] }
}

/** The notes of a page of the complete registry about a past moment. */
export function registryNotes(past: PastInventory | null): readonly string[] {
  if (past === null) return []
  const { definitions, deletedVersions } = past
  if (definitions.length === 0) return ['The registry had no definitions then.']
  return [
    ...(deletedVersions.length === 0 ? [] : [`Deleted since, and not shown: ${deletedVersions.join(', ')}.`]),
    'Training sets that were deleted since are not shown.',
  ]
}
