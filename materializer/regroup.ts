import type { EntityKey } from '../kernel/entity-key.ts'
import { readHeader } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'

const keysPerRead = 100

export interface KeyGroup {
  /** Rows with an arrival from here on are needed. */
  readonly from: number
  readonly keys: readonly EntityKey[]
}

/** From which arrival on the rows of refused keys have to be read again: all rows of those that the store lacks, and of the others what none of them covers. */
export async function regroup(
  plan: ViewPlan,
  refused: readonly EntityKey[],
  read: (keys: readonly EntityKey[]) => Promise<readonly (Buffer | null)[]>,
): Promise<KeyGroup[]> {
  const absent: EntityKey[] = []
  const present: EntityKey[] = []
  let lowest = Number.POSITIVE_INFINITY
  for (let i = 0; i < refused.length; i += keysPerRead) {
    const keys = refused.slice(i, i + keysPerRead)
    const stored = await read(keys)
    for (const [at, key] of keys.entries()) {
      const bytes = stored[at]
      if (bytes) lowest = Math.min(lowest, readHeader(bytes, plan.id).frontier)
      ;(bytes ? present : absent).push(key)
    }
  }
  return [
    { from: 0, keys: absent },
    { from: lowest, keys: present },
  ].filter(({ keys }) => keys.length > 0)
}
