import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Checkpoint } from '../online/checkpoint.ts'
import { readUnderCheckpoint } from '../online/checkpoint.ts'
import type { OnlineStore } from '../online/store.ts'
import { lost } from './runs/begin-view.ts'

/**
 * The stored bytes of each key, null where there are none, by index.
 *
 * @throws LockstepError `STORE_MISMATCH` where the checkpoint is no longer the view's
 */
export type StateReader = (keys: readonly EntityKey[]) => Promise<readonly (Buffer | null)[]>

export function createStateReader(store: OnlineStore, plan: ViewPlan, checkpoint: Checkpoint): StateReader {
  const [view, entity] = [plan.id, plan.spec.entity.name]
  return async (keys) => {
    const stored = await readUnderCheckpoint(
      store,
      view,
      checkpoint,
      keys.map((key) => ({ view, entity, key })),
    )
    if (stored === null) throw lost(plan)
    return stored
  }
}
