import { LockstepError } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import { forgetView, isOurs } from '../materializer/forget-view.ts'
import type { Removal } from '../materializer/removals.ts'
import { hasRemovals, pendingRemovals, requestRemoval, workOnRemovals } from '../materializer/removals.ts'
import type { OnlineStore } from '../online/store.ts'
import type { OnlineChanges } from '../registry/apply.ts'
import type { Database } from '../runtime/database.ts'
import type { Context } from './context.ts'
import { counted } from './human.ts'

/** How long a command itself removes keys. */
const workMs = 2_000

/**
 * Runs before a change of the registry is committed. Has the stored states of retired views removed, and forgets the
 * stored states of views that come back.
 *
 * @returns views of another database, which stay
 */
export async function changeOnline(
  context: Context,
  { leaving, returning }: OnlineChanges,
  transaction: Pick<Database, 'kysely'>,
): Promise<DefinitionId[]> {
  if (leaving.length + returning.length === 0) return []
  const foreign: DefinitionId[] = []
  const store = await context.store() // a store that is down stops the change
  for (const view of returning) await forgetView(transaction, store, view)
  for (const view of leaving) {
    if (await isOurs(transaction, store, view)) await requestRemoval(transaction, await store.identity(), view)
    else foreign.push(view)
  }
  return foreign
}

/** Runs after the commit: removes keys for a moment. */
export async function removeOnline(context: Context): Promise<Removals> {
  const db = await context.database()
  if (!(await hasRemovals(db))) return { removed: [], removing: [] }
  return await beginRemovals(db, await context.store(), context.signal)
}

export interface Removals {
  readonly removed: readonly Removal[]
  readonly removing: readonly Removal[]
}

/**
 * Removes for a moment the keys that retired views left in the store. On the embedded database, which no worker shares,
 * removes all of them.
 */
async function beginRemovals(db: Database, store: OnlineStore, signal: AbortSignal): Promise<Removals> {
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

export function removalsText({ removed, removing }: Removals, foreign: readonly DefinitionId[]): string[] {
  return [
    ...removed.map(({ view, removed: keys }) => `Deleted ${view} from the online store: ${counted(keys, 'key')}.`),
    ...removing.map(
      ({ view, removed: keys }) => `${view} is being deleted from the online store, ${counted(keys, 'key')} so far: a worker continues.`,
    ),
    ...foreign.map(foreignText),
  ]
}

function foreignText(view: DefinitionId): string {
  return `note: the online store holds "${view}" of another database, which is not deleted`
}
