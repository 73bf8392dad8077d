import type { EntityKey } from '../kernel/values/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { covers } from '../kernel/states/frontier.ts'
import { readHeader } from '../kernel/states/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/rows/row-decoder.ts'
import type { OnlineStore } from '../online/store.ts'

const keysPerRead = 100

/**
 * Of rows those that are in no state of the store, by what the states say themselves: pushes fold their rows at once,
 * and the view's checkpoint says nothing of that.
 */
export async function findMissingRows(
  store: Pick<OnlineStore, 'read'>,
  plan: ViewPlan,
  rows: readonly SourceRow[],
): Promise<readonly SourceRow[]> {
  const keys = [...new Set(rows.map(({ key }) => key))]
  const frontiers = new Map<EntityKey, Frontier>()
  for (let i = 0; i < keys.length; i += keysPerRead) {
    const part = keys.slice(i, i + keysPerRead)
    const stored = await store.read(part.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
    for (const [at, key] of part.entries()) {
      const frontier = frontierOf(stored[at] ?? null, plan)
      if (frontier !== null) frontiers.set(key, frontier)
    }
  }
  return rows.filter(({ key, xid }) => {
    const frontier = frontiers.get(key)
    return frontier === undefined || !covers(frontier, xid)
  })
}

/** One that cannot be read holds nothing that anybody could be given. */
function frontierOf(bytes: Buffer | null, plan: ViewPlan): Frontier | null {
  try {
    return bytes === null ? null : readHeader(bytes, plan.id).frontier
  } catch (error) {
    if (error instanceof LockstepError) return null
    throw error
  }
}
