import type { EntityKey } from '../kernel/entity-key.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'

/**
 * An online store keeps bytes by (view version, entity) and nothing else; what the bytes mean is the kernel's business
 * (kernel/stored-state.ts). One contract suite, `test/online/store-contract.ts`, is run by every implementation.
 */
export interface OnlineStore {
  readonly kind: 'redis' | 'embedded'
  /**
   * An id that lives in the store itself and is made on first use, so that an emptied or exchanged store is seen to be
   * another one.
   */
  identity(): Promise<string>
  /**
   * The stored bytes of each key, null where there are none, by index. One round trip. The bytes are the caller's to
   * keep.
   *
   * @param options.behind whether a copy may answer that lags behind what was written, where the store is configured to
   *   ask such: for reads that nothing is written by
   * @param options.sure whether it is to be looked why a key is absent, which takes longer: for the few that an
   *   ordinary read has not found
   * @throws LockstepError where `sure`: `STATE_CORRUPT` naming a key that holds no bytes but something else,
   *   `NOT_READY` where the server of an absent key was emptied
   */
  read(keys: readonly OnlineKey[], options?: ReadOptions): Promise<(Buffer | null)[]>
  /**
   * Stores each entry whose key's present bytes begin with `expected` (kernel/stored-state.ts: their format and arrival
   * frontier), or, where that is null, whose key is absent. Atomic by entry; entries of one call may be applied in
   * part.
   *
   * @returns by index, whether it was stored; where not, somebody else wrote first: read again and decide
   */
  write(entries: readonly OnlineWrite[]): Promise<boolean[]>
  /**
   * Deletes every key of a view version except `kept`, in bounded steps. Returns how many there were.
   *
   * @param around runs each step, which tells how many keys it deleted; where it answers false, no further one begins
   */
  removeView(view: DefinitionId, kept?: OnlineKey, around?: (step: () => Promise<number>) => Promise<boolean>): Promise<number>
  /**
   * The servers that hold the states now, each by what changes when it restarts or another takes its place: then what
   * was acknowledged last may be lost. A store that loses nothing names itself.
   */
  primaries(): Promise<string[]>
  /** Of a store that is spread over servers which can be emptied one by one. */
  readonly parts?: StoreParts
  /** @throws LockstepError `REDIS_UNAVAILABLE` */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface ReadOptions {
  readonly behind?: boolean
  readonly sure?: boolean
}

/**
 * Every part of the store has a mark, which goes where its states go: a part without its mark may lack states, whatever
 * the checkpoints of views say, which lie in other parts.
 */
export interface StoreParts {
  /**
   * Whether the mark of a part is gone, or was never made. It looks at a few of each server, so that it can be asked
   * often.
   */
  lost(): Promise<boolean>
  /** Makes the marks that are not there. No view may be taken for whole then that was filled before. */
  mark(): Promise<void>
}

export interface OnlineKey {
  readonly view: DefinitionId
  /** The name of the view's one entity. */
  readonly entity: string
  readonly key: EntityKey
}

export interface OnlineWrite extends OnlineKey {
  /** `headOf` the bytes that it was made from; null: none. */
  readonly expected: Buffer | null
  /** `noBytes`: what is there is removed. */
  readonly bytes: Buffer
}

export const noBytes = Buffer.alloc(0)

/** In place of an entity's name, for what a store keeps of a view itself: no entity is called so. */
export const checkpointEntity = '~'
