import { LockstepError } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Checkpoint } from '../online/checkpoint.ts'
import { readCheckpoint } from '../online/checkpoint.ts'
import { knowsRun } from '../online/checkpoint-owner.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { endRemoval } from './sources/removals.ts'
import { forgetRuns } from './runs/runs.ts'

/**
 * Removes at once what the store holds of a view, and the record of how it came there: from then on it answers as one
 * that was never materialized. A run that is under way finds it lost. What another database has materialized stays.
 *
 * @returns how many keys there were; null where they are another database's
 * @throws LockstepError `REDIS_UNAVAILABLE`
 */
export async function forgetView(db: Pick<Database, 'kysely'>, store: OnlineStore, view: DefinitionId): Promise<number | null> {
  const identity = await store.identity()
  await endRemoval(db, identity, view)
  if (!(await isOurs(db, store, view))) return null
  const keys = await store.removeView(view)
  await forgetRuns(db, view, identity)
  return keys
}

/** Whether no other database has materialized what the store holds of a view. */
export async function isOurs(db: Pick<Database, 'kysely'>, store: OnlineStore, view: DefinitionId): Promise<boolean> {
  const checkpoint = await readableCheckpoint(store, view)
  return checkpoint === null || (await knowsRun(db, checkpoint.origin))
}

/** null: there is none, or it cannot be read. Then nothing shows that the view belongs to another database. */
async function readableCheckpoint(store: OnlineStore, view: DefinitionId): Promise<Checkpoint | null> {
  try {
    return await readCheckpoint(store, view)
  } catch (error) {
    if (error instanceof LockstepError && (error.code === 'STATE_CORRUPT' || error.code === 'STATE_VERSION')) return null
    throw error
  }
}
