import type { EntityKey } from '../kernel/entity-key.ts'
import type { ViewValues } from '../kernel/state.ts'
import { decodeStored, readHeader } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineKey, OnlineStore } from './store.ts'

export interface OnlineRequest {
  readonly plan: ViewPlan
  /** null: the entity has no such key, which is answered as one that was never seen. */
  readonly key: EntityKey | null
}

export interface OnlineAnswer {
  /** null where `asOf` is before `highWater`: what held then only the offline history knows. */
  readonly values: ViewValues | null
  /** Rows with an arrival below it are in the answer; null where nothing is stored. */
  readonly frontier: number | null
  /** The greatest moment at which a folded row became visible, epoch microseconds; -Infinity where there is none. */
  readonly highWater: number
}

/**
 * Answers every request from the online store as of `asOf` (epoch microseconds), in one read.
 *
 * @returns by index of `requests`
 * @throws LockstepError `REDIS_UNAVAILABLE`, `STATE_VERSION`, `STATE_CORRUPT`
 */
export async function readOnline(store: OnlineStore, requests: readonly OnlineRequest[], asOf: number): Promise<OnlineAnswer[]> {
  const keys: OnlineKey[] = []
  for (const { plan, key } of requests) if (key !== null) keys.push({ view: plan.id, entity: plan.spec.entity.name, key })
  const stored = await store.read(keys)
  let at = 0
  return requests.map(({ plan, key }) => answer(plan, key === null ? null : (stored[at++] ?? null), asOf))
}

function answer(plan: ViewPlan, bytes: Buffer | null, asOf: number): OnlineAnswer {
  if (bytes === null) return { values: plan.newState().valueAt(asOf), frontier: null, highWater: Number.NEGATIVE_INFINITY }
  const { frontier, highWater } = readHeader(bytes, plan.id)
  return { values: asOf < highWater ? null : decodeStored(plan, bytes).valueAt(asOf), frontier, highWater }
}
