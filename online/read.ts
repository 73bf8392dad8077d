import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import type { LockstepError } from '../kernel/errors.ts'
import { overCapFlag } from '../kernel/states/over-cap.ts'
import { setAsideFlag } from '../kernel/states/set-aside.ts'
import type { ViewValues } from '../kernel/states/state.ts'
import type { StoredHeader } from '../kernel/states/stored-state.ts'
import { isDamaged, readHeader } from '../kernel/states/stored-state.ts'
import { ofEntity } from '../kernel/states/too-many-categories.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Turns } from '../runtime/async.ts'
import { startTurns } from '../runtime/async.ts'
import type { OnlineKey } from './store.ts'
import type { HoldingStore } from './completeness.ts'
import { requireComplete } from './completeness.ts'

export interface OnlineRequest {
  readonly plan: ViewPlan
  /** null: the entity has no such key; it is answered as an entity that was never seen. */
  readonly key: EntityKey | null
}

export interface OnlineAnswer {
  /**
   * null where only the offline history knows: `asOf` is before `highWater`, the state is over its view's cap or set
   * aside, or it may have been lost in a failover.
   */
  readonly values: ViewValues | null
  /** The transactions whose rows the answer includes, exactly; null where nothing is stored. */
  readonly frontier: Frontier | null
  /** The greatest moment at which a folded row became visible, epoch microseconds; -Infinity where there is none. */
  readonly highWater: number
  /** The stored state; null where there is none. It may be a slice of a larger buffer. */
  readonly bytes: Buffer | null
  /** Set where the store was unavailable, and nothing is known of the entity. */
  readonly isDefault?: true
  /** Set where a state is damaged. It counts as unknown, so that the offline history answers. */
  readonly damage?: LockstepError
}

/**
 * Answers every request from the online store as of `asOf` (epoch microseconds), in one read. Where a state is absent,
 * it reads a second time. A state that several requests ask for is read and decoded once. States that take long to
 * decode are decoded in several turns of the event loop.
 *
 * @param behind as in `OnlineStore.read`; default true
 * @param caller called after the read, and in each further turn; what it throws ends the request
 * @returns by index of `requests`
 * @throws LockstepError `NOT_READY` where a state is absent and the store does not hold its view completely, or one of
 *   its servers was emptied; `REDIS_UNAVAILABLE`, `STATE_VERSION`, `STATE_CORRUPT`; `TOO_MANY_CATEGORIES` naming the
 *   entity
 */
export async function readOnline(
  store: HoldingStore,
  requests: readonly OnlineRequest[],
  asOf: number,
  behind = true,
  caller: { requireInTime(): void } | null = null,
): Promise<OnlineAnswer[]> {
  const distinct = distinctOf(requests)
  if (distinct !== null) {
    const answers = await readOnline(store, distinct.requests, asOf, behind, caller)
    return distinct.at.map((i) => answers[i] as OnlineAnswer)
  }
  const keys = keysOf(requests)
  const stored = await store.read(keys, { behind })
  const setBack = stored.includes(null) ? await readLacked(store, requests, keys, stored) : nothing
  caller?.requireInTime()
  const progress: Progress = { answers: [], used: 0, turns: startTurns() }
  answerSome(requests, stored, setBack, asOf, progress)
  while (progress.answers.length < requests.length) {
    await progress.turns.next()
    caller?.requireInTime()
    answerSome(requests, stored, setBack, asOf, progress)
  }
  return progress.answers
}

/** Of fewer requests, finding those that repeat costs more than it saves. */
const manyRequests = 16

/** Each request once, and by index of the given ones its index among them; null where none repeats. */
function distinctOf(requests: readonly OnlineRequest[]): { readonly requests: OnlineRequest[]; readonly at: number[] } | null {
  if (requests.length < manyRequests) return null
  const found = new Map<ViewPlan, Map<EntityKey | null, number>>()
  const distinct: OnlineRequest[] = []
  const at: number[] = []
  for (const request of requests) {
    let ofView = found.get(request.plan)
    if (ofView === undefined) found.set(request.plan, (ofView = new Map()))
    let index = ofView.get(request.key)
    if (index === undefined) {
      index = distinct.push(request) - 1
      ofView.set(request.key, index)
    }
    at.push(index)
  }
  return distinct.length === requests.length ? null : { requests: distinct, at }
}

interface Progress {
  /** By index of the requests. */
  readonly answers: OnlineAnswer[]
  /** How many of the stored states are in them. */
  used: number
  readonly turns: Turns
}

/** After how many bytes of states the clock is read. Most requests have fewer. */
const bytesPerCheck = 65_536

function keysOf(requests: readonly OnlineRequest[]): OnlineKey[] {
  const keys: OnlineKey[] = []
  for (const { plan, key } of requests) if (key !== null) keys.push({ view: plan.id, entity: plan.spec.entity.name, key })
  return keys
}

/**
 * Adds answers until a turn is over: at least one, and usually all.
 *
 * A separate function, because locals of an async function that live across an await are slower.
 *
 * @param stored by index of the requests that have a key
 * @param setBack the views whose checkpoints were set back after a failover
 */
function answerSome(
  requests: readonly OnlineRequest[],
  stored: readonly (Buffer | null)[],
  setBack: ReadonlySet<DefinitionId>,
  asOf: number,
  progress: Progress,
): void {
  const { answers, turns } = progress
  let absent: Map<ViewPlan, OnlineAnswer> | null = null
  let unchecked = 0
  for (let i = answers.length; i < requests.length; i++) {
    const { plan, key } = requests[i] as OnlineRequest
    const bytes = key === null ? null : (stored[progress.used++] ?? null)
    let answer: OnlineAnswer | undefined
    if (key !== null && bytes !== null) {
      answer = storedAnswer(plan, key, bytes, asOf)
      unchecked += bytes.length
    } else if (key !== null && setBack.has(plan.id)) {
      answer = perhapsLost
    } else {
      absent ??= new Map()
      answer = absent.get(plan)
      if (answer === undefined) absent.set(plan, (answer = absentAnswer(plan, asOf)))
    }
    answers.push(answer)
    if (unchecked < bytesPerCheck) continue
    unchecked = 0
    if (turns.isOver()) return
  }
}

/**
 * Reads absent states again. The checkpoints do not cover a copy that lags behind, a read before the view became
 * complete, or a server that was emptied separately.
 *
 * @param stored by index of the keys; what is found is put there
 * @returns the views whose checkpoints were set back after a failover
 */
async function readLacked(
  store: HoldingStore,
  requests: readonly OnlineRequest[],
  keys: readonly OnlineKey[],
  stored: (Buffer | null)[],
): Promise<ReadonlySet<DefinitionId>> {
  const lacking = new Set<ViewPlan>()
  const lackedAt: number[] = []
  let k = 0
  for (const { plan, key } of requests) {
    if (key === null) continue
    if (stored[k] === null) {
      lacking.add(plan)
      lackedAt.push(k)
    }
    k++
  }
  const lacked = lackedAt.map((at) => keys[at] as OnlineKey)
  // both requests are sent together
  const [setBack, again] = await Promise.all([requireComplete(store, [...lacking]), store.read(lacked, { sure: true })])
  for (const [i, at] of lackedAt.entries()) stored[at] = again[i] ?? null
  return setBack
}

/** @throws as `readOnline` of what is stored */
export function storedAnswer(plan: ViewPlan, key: EntityKey, bytes: Buffer, asOf: number): OnlineAnswer {
  let header: StoredHeader
  try {
    header = readHeader(bytes, plan.id)
  } catch (error) {
    if (isDamaged(error)) return { ...perhapsLost, damage: error }
    throw error
  }
  const { frontier, highWater, bodyAt } = header
  const unknown = asOf < highWater || bytes[bodyAt] === overCapFlag || bytes[bodyAt] === setAsideFlag
  try {
    return { values: unknown ? null : plan.valueAt(bytes, bodyAt, highWater, asOf), frontier, highWater, bytes }
  } catch (error) {
    throw ofEntity(plan.key, key, error)
  }
}

/** One answer for all absent keys of a view. */
function absentAnswer(plan: ViewPlan, asOf: number): OnlineAnswer {
  return { values: plan.newState().valueAt(asOf), frontier: null, highWater: Number.NEGATIVE_INFINITY, bytes: null }
}

/** Its view's checkpoint was set back after a failover, and no run has re-materialized the last arrivals yet. */
const perhapsLost: OnlineAnswer = { values: null, frontier: null, highWater: Number.NEGATIVE_INFINITY, bytes: null }
const nothing: ReadonlySet<DefinitionId> = new Set()
