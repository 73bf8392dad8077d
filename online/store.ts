import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'

/**
 * An online store keeps bytes by (view version, entity) and nothing else; kernel/states/stored-state.ts defines what
 * they mean. Every implementation runs one contract suite, `test/online/store-contract.ts`.
 */
export interface OnlineStore {
  readonly kind: 'redis' | 'embedded'
  /**
   * An id that is stored in the store itself and made on first use. So an emptied or exchanged store has another one.
   */
  identity(): Promise<string>
  /**
   * The stored bytes of each key, by index; null where there are none. One round trip. The caller may keep the bytes.
   *
   * @param options.behind whether a replica may answer that lags behind, if the store is configured to read from
   *   replicas: only for reads that no write depends on
   * @param options.through only for a store on several servers: runs the part of the read that one server answers
   * @param options.sure whether to find out why a key is absent, which takes longer: for the few keys that an ordinary
   *   read has not found
   * @throws LockstepError with `sure`: `STATE_CORRUPT` naming a key that holds something other than bytes, `NOT_READY`
   *   where the server of an absent key was emptied
   */
  read(keys: readonly OnlineKey[], options?: ReadOptions): Promise<(Buffer | null)[]>
  /**
   * Stores each entry whose key's present bytes begin with `expected` (kernel/states/stored-state.ts: their format and
   * arrival frontier), or, where that is null, whose key is absent. Each entry is atomic; a call may be applied in
   * part.
   *
   * @returns by index, whether it was stored; false: somebody else wrote first, so read again and decide
   */
  write(entries: readonly OnlineWrite[]): Promise<boolean[]>
  /**
   * Deletes every key of a view version except `kept`, in bounded steps.
   *
   * @param around runs each step, which returns how many keys it deleted; where it returns false, no further step
   *   begins
   * @returns how many keys were deleted
   */
  removeView(view: DefinitionId, kept?: OnlineKey, around?: (step: () => Promise<number>) => Promise<boolean>): Promise<number>
  /**
   * The keys of a view version that have a state, in bounded groups. A key that is there from start to end is among
   * them, possibly twice.
   *
   * @param entity the name of the view's entity
   */
  keys(view: DefinitionId, entity: string): AsyncIterable<readonly EntityKey[]>
  /**
   * How many states each view version has, and how many bytes these take. Of a large store it is an estimate, from a
   * sample of its keys.
   */
  sizes(views: readonly DefinitionId[]): Promise<StoreSizes>
  /**
   * The servers that hold the states now, each by an id that changes when it restarts or another takes its place: then
   * the last acknowledged writes may be lost. A store that loses nothing has one constant id.
   */
  primaries(): Promise<string[]>
  /** Set for a store on several servers that can be emptied separately. */
  readonly parts?: StoreParts
  /**
   * Set for a store on several servers: returns what says whether the key's server still has the connection that it has
   * now. That is so while the server is unreachable, until it is connected again or another server takes its place.
   */
  sameConnection?(key: OnlineKey): () => boolean
  /**
   * Checks that the store answers.
   *
   * @returns the servers of a store on several; none of any other
   * @throws LockstepError `REDIS_UNAVAILABLE`; of a store on several servers, only if none of them answers
   */
  ping(): Promise<readonly ServerState[]>
  /** Set for a store whose servers can be full: the memory, disk and role of each primary that answers. */
  memory?(): Promise<readonly ServerMemory[]>
  close(): Promise<void>
}

export interface StoreSizes {
  /** How many keys were looked at for an estimate; null: the figures are of all keys. */
  readonly sampled: number | null
  readonly byView: ReadonlyMap<DefinitionId, { readonly states: number; readonly bytes: number }>
}

export interface ReadOptions {
  readonly behind?: boolean
  readonly sure?: boolean
  readonly through?: ServerGuard | undefined
}

/**
 * Runs `read`, or fails in its place.
 *
 * @param server `HOST:PORT`
 * @param connection how often the server was connected
 * @throws what `read` throws, or the guard's own error
 */
export type ServerGuard = <T>(server: string, connection: number, read: () => Promise<T>) => Promise<T>

export interface ServerState {
  /** `HOST:PORT` */
  readonly server: string
  /**
   * Whether it can be read. null: unknown. It is a replica, which is not asked, or it refuses reads because another
   * server is down.
   */
  readonly answers: boolean | null
}

export interface ServerMemory {
  /** `HOST:PORT` */
  readonly server: string
  readonly usedBytes: number
  /** How much it may use; 0: no limit, or the server does not report it. */
  readonly maxBytes: number
  /** Whether it deletes states when it is full; else it refuses writes. A deleted state looks like an unseen entity. */
  readonly evictsStates: boolean
  /** How many keys, of any program, it has deleted for that since it started. */
  readonly evictedKeys: number
  /** Whether it is a replica, although the settings name it as the only server. */
  readonly isReplica: boolean
  /** Whether it refuses writes because it cannot save to its disk. It still answers reads. */
  readonly cannotSave: boolean
}

/**
 * Each part of the store has a mark, which disappears together with its states. A part without its mark may lack
 * states, whatever the checkpoints say, because these are in other parts.
 */
export interface StoreParts {
  /** Whether the mark of a part is missing. It checks a few marks of each server, so it can be called often. */
  lost(): Promise<boolean>
  /** Creates the missing marks. After that, a view that was filled before must not count as complete. */
  mark(): Promise<void>
}

export interface OnlineKey {
  readonly view: DefinitionId
  /** The name of the view's one entity. */
  readonly entity: string
  readonly key: EntityKey
}

export interface OnlineWrite extends OnlineKey {
  /** `stateHead` of the bytes that it was made from; null: none. */
  readonly expected: Buffer | null
  /** `noBytes`: the present bytes are removed. */
  readonly bytes: Buffer
}

export const noBytes = Buffer.alloc(0)

/** In place of an entity's name, for a view's checkpoint: no entity has this name. */
export const checkpointEntity = '~'
