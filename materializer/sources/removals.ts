import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { waitForEarlierTransactions } from '../../runtime/postgres/earlier-transactions.ts'
import { forgetRuns } from '../runs/runs.ts'

type Kysely = Pick<Database, 'kysely'>

/** A view that left the online store, whose keys are being deleted. */
export interface Removal {
  readonly view: DefinitionId
  /** Keys deleted so far. */
  readonly removed: number
  readonly requestedAt: Date
}

/** Queues the keys of a view for deletion by any process that works on removals. */
export async function requestRemoval({ kysely }: Kysely, store: string, view: DefinitionId): Promise<void> {
  await kysely
    .insertInto('lockstep.removals')
    .values({ view, store })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/**
 * Ends a removal, done or not. It waits for a step that is under way, and no other step begins before this transaction
 * has ended.
 */
export async function endRemoval({ kysely }: Kysely, store: string, view: DefinitionId): Promise<void> {
  await kysely.deleteFrom('lockstep.removals').where('view', '=', view).where('store', '=', store).execute()
}

/** Whether anything is to be removed from any store. */
export async function hasRemovals({ kysely }: Kysely): Promise<boolean> {
  return (await kysely.selectFrom('lockstep.removals').select('view').limit(1).executeTakeFirst()) !== undefined
}

/** The removals that a store still has to make, oldest request first. */
export async function pendingRemovals({ kysely }: Kysely, store: string): Promise<Removal[]> {
  const rows = await kysely
    .selectFrom('lockstep.removals')
    .select(['view', 'removed', 'requested_at'])
    .where('store', '=', store)
    .orderBy('requested_at')
    .orderBy('view')
    .execute()
  return rows.map((row) => ({ view: row.view as DefinitionId, removed: Number(row.removed), requestedAt: row.requested_at }))
}

export interface RemovalOptions {
  /** How long runs that began before are waited for, milliseconds. */
  readonly waitMs: number
  /** How long to work at it; what is left then is for the next. Default: to the end. */
  readonly forMs?: number
  readonly signal?: AbortSignal
  /** Called after each step with the number of deleted keys of the view, by all processes. */
  readonly onStep?: (removed: number) => void
}

/**
 * Deletes the keys of the views that left a store, in bounded steps. Each step locks the row of its removal. If a view
 * comes back and so ends its removal, the next step finds that and stops. First it waits for runs that began before, so
 * that none of them writes a state behind the search for keys. If the process dies, the next call searches the store
 * again and deletes what is left.
 *
 * @returns the views that are done
 */
export async function workOnRemovals(db: Database, store: OnlineStore, options: RemovalOptions): Promise<Removal[]> {
  const deadline = performance.now() + (options.forMs ?? Number.POSITIVE_INFINITY)
  const identity = await store.identity()
  const done: Removal[] = []
  const pending = await pendingRemovals(db, identity)
  if (pending.length === 0 || !(await waitForEarlierTransactions(db, options.waitMs, options.signal))) return done
  for (const removal of pending) {
    let { removed } = removal
    let wanted = true
    await store.removeView(removal.view, undefined, async (step) => {
      options.signal?.throwIfAborted()
      wanted &&= performance.now() < deadline
      wanted &&= await countedStep(db, identity, removal.view, async () => {
        const keys = await step()
        removed += keys
        options.onStep?.(removed)
        return keys
      })
      return wanted
    })
    if (!wanted) continue
    if (await endIfComplete(db, identity, removal.view)) done.push({ ...removal, removed })
  }
  return done
}

/**
 * Forgets the runs of a view all of whose keys are deleted.
 *
 * @returns false where it has come back meanwhile, and its runs are those of its return
 */
async function endIfComplete({ kysely }: Kysely, store: string, view: DefinitionId): Promise<boolean> {
  return kysely.transaction().execute(async (transaction) => {
    const { numDeletedRows } = await transaction
      .deleteFrom('lockstep.removals')
      .where('view', '=', view)
      .where('store', '=', store)
      .executeTakeFirst()
    if (numDeletedRows === 0n) return false
    await forgetRuns({ kysely: transaction }, view, store)
    return true
  })
}

/** @returns false where the removal is none any more, and nothing was done */
async function countedStep({ kysely }: Kysely, store: string, view: DefinitionId, step: () => Promise<number>): Promise<boolean> {
  return kysely.transaction().execute(async (transaction) => {
    const row = await transaction
      .selectFrom('lockstep.removals')
      .select('removed')
      .where('view', '=', view)
      .where('store', '=', store)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return false
    const keys = await step()
    if (keys > 0) {
      await transaction
        .updateTable('lockstep.removals')
        .set({ removed: String(Number(row.removed) + keys) })
        .where('view', '=', view)
        .where('store', '=', store)
        .execute()
    }
    return true
  })
}
