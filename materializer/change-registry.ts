import { LockstepError } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import type { ApplyOptions, AppliedChanges, OnlineChanges } from '../registry/changes/apply.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { labelOf } from '../registry/definition.ts'
import type { DefinitionSet } from '../registry/load/definition-set.ts'
import type { PrunedDefinitions } from '../registry/changes/prune.ts'
import { pruneDefinitions } from '../registry/changes/prune.ts'
import type { Actor } from '../runtime/audit.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { forgetView, isOurs } from './forget-view.ts'
import type { Removal } from './sources/removals.ts'
import { hasRemovals, pendingRemovals, requestRemoval, workOnRemovals } from './sources/removals.ts'

/** How long a change itself removes keys. */
const workMs = 2_000

export interface ChangeTools {
  readonly db: Database
  /** Opens the online store, which only changes of online views need. */
  readonly store: () => OnlineStore | Promise<OnlineStore>
  readonly signal: AbortSignal
}

/** How far the states of retired views are removed. */
export interface Removals {
  readonly removed: readonly Omit<Removal, 'requestedAt'>[]
  /** Views whose states a worker goes on deleting. */
  readonly removing: readonly Omit<Removal, 'requestedAt'>[]
  /** Views of another database in the same store, which stay. */
  readonly foreign: readonly DefinitionId[]
}

/** As `applyChanges`, and has the states of retired views removed from the online store. */
export async function applyWithStates(
  tools: ChangeTools,
  set: DefinitionSet,
  options: Omit<ApplyOptions, 'beforeCommit'>,
): Promise<AppliedChanges & { readonly removals: Removals }> {
  let foreign: readonly DefinitionId[] = []
  const applied = await applyChanges(tools.db, set, {
    ...options,
    async beforeCommit(online, transaction) {
      foreign = await changeOnline(tools, online, transaction)
    },
  })
  return { ...applied, removals: { ...(await removeOnline(tools)), foreign } }
}

/** As `pruneDefinitions`, and has the states of retired views removed from the online store. */
export async function pruneWithStates(
  tools: ChangeTools,
  names: readonly string[],
  by: Actor,
  { dryRun = false } = {},
): Promise<PrunedDefinitions & { readonly removals: Removals }> {
  let foreign: readonly DefinitionId[] = []
  const beforeCommit: NonNullable<ApplyOptions['beforeCommit']> = async (online, transaction) => {
    foreign = await changeOnline(tools, online, transaction)
  }
  const pruned = await pruneDefinitions(tools.db, names, by, beforeCommit, { dryRun })
  const removals = dryRun ? { removed: [], removing: [] } : await removeOnline(tools)
  return { ...pruned, removals: { ...removals, foreign } }
}

/** The pruned definitions, as JSON. */
export function prunedJson({ removed, kept, revision, online, removals }: Awaited<ReturnType<typeof pruneWithStates>>) {
  const pruned = removed.map(({ kind, name, version }) => ({ kind, name, version, label: labelOf({ name, version }) }))
  return { pruned, kept, revision, online: online.leaving, ...removals }
}

/**
 * Runs before a change of the registry is committed. Has the stored states of retired views removed, and forgets the
 * stored states of views that come back.
 *
 * @returns views of another database, which stay
 */
async function changeOnline(
  { store: open }: ChangeTools,
  { leaving, returning }: OnlineChanges,
  transaction: Pick<Database, 'kysely'>,
): Promise<DefinitionId[]> {
  if (leaving.length + returning.length === 0) return []
  const foreign: DefinitionId[] = []
  const store = await open() // a store that is down stops the change
  for (const view of returning) await forgetView(transaction, store, view)
  for (const view of leaving) {
    if (await isOurs(transaction, store, view)) await requestRemoval(transaction, await store.identity(), view)
    else foreign.push(view)
  }
  return foreign
}

/**
 * Runs after the commit. Removes for a moment the keys that retired views left in the store. On the embedded database,
 * which no worker shares, removes all of them.
 */
async function removeOnline({ db, store: open, signal }: ChangeTools): Promise<Omit<Removals, 'foreign'>> {
  if (!(await hasRemovals(db))) return { removed: [], removing: [] }
  const store = await open()
  const bound = db.kind === 'pglite' ? {} : { forMs: workMs }
  try {
    const removed = await workOnRemovals(db, store, { waitMs: workMs, signal, ...bound })
    return { removed, removing: await pendingRemovals(db, await store.identity()) }
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw new LockstepError(
      cause.code,
      `The registry was changed, but the online store still holds retired views: ${cause.message} Nothing serves them. A worker or the next "lockstep apply" deletes them.`,
      { cause },
    )
  }
}
