import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer, OnlineRequest } from '../../online/read.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { Config } from '../../runtime/config.ts'

/** States of the online store as they were last read, for requests that accept them while the store is down. */
export interface StaleCache {
  /** Call it before a read, and pass its result to `note`. */
  begin(): ReadBegun
  /**
   * Keeps what `readOnline` answered, unless `forget` was called since the read began: the answer may hold what was
   * erased.
   */
  note(begun: ReadBegun, requests: readonly OnlineRequest[], answers: readonly OnlineAnswer[]): void
  /** null: it was not read within the bound, or is no longer in the cache. */
  find(plan: ViewPlan, key: EntityKey): StaleState | null
  forget(): void
}

export interface ReadBegun {
  readonly atMs: number
  /** How often `forget` was called before. */
  readonly forgotten: number
}

export interface StaleState {
  readonly bytes: Buffer
  /** How long ago its read began, milliseconds. */
  readonly ageMs: number
}

export interface StaleCacheOptions {
  /** How old an answer may be, milliseconds. */
  readonly boundMs: number
  /** The size of the cache, bytes. The state that was read longest ago is evicted first. */
  readonly maxBytes: number
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

type StaleSettings = Partial<Pick<Config, 'staleSeconds' | 'staleMegabytes'>>

interface Entry {
  readonly bytes: Buffer
  readonly atMs: number
}

/** The size of an entry beside its bytes and the characters of its name: measured with states of 30 bytes. */
const entryBytes = 400

/** The cache that the settings describe; null: they want none. */
export function openStaleCache({ staleSeconds = 0, staleMegabytes = 64 }: StaleSettings): StaleCache | null {
  const [boundMs, maxBytes] = [staleSeconds * 1000, staleMegabytes * 2 ** 20]
  return boundMs === 0 ? null : createStaleCache({ boundMs, maxBytes, now: () => performance.now() })
}

export function createStaleCache({ boundMs, maxBytes, now }: StaleCacheOptions): StaleCache {
  /** In the order in which they were last read. */
  const entries = new Map<string, Entry>()
  let size = 0
  let forgotten = 0

  function remove(name: string): void {
    const entry = entries.get(name)
    if (entry === undefined) return
    entries.delete(name)
    size -= sizeOf(name, entry.bytes)
  }

  return {
    begin: () => ({ atMs: now(), forgotten }),
    note(begun, requests, answers) {
      if (begun.forgotten !== forgotten) return
      const { atMs } = begun
      for (let i = 0; i < requests.length; i++) {
        const { plan, key } = requests[i] as OnlineRequest
        const { bytes, values } = answers[i] as OnlineAnswer
        // a state without values may be lost
        if (key === null || (bytes === null && values === null)) continue
        const name = nameOf(plan, key)
        remove(name)
        // a state that exceeds the cache would evict all others, and then itself
        if (bytes === null || sizeOf(name, bytes) > maxBytes) continue
        entries.set(name, { bytes: copyOf(bytes), atMs })
        size += sizeOf(name, bytes)
      }
      for (const [name, { atMs: then }] of entries) {
        if (size <= maxBytes && atMs - then <= boundMs) break
        remove(name)
      }
    },
    find(plan, key) {
      const entry = entries.get(nameOf(plan, key))
      if (entry === undefined) return null
      const ageMs = now() - entry.atMs
      return ageMs <= boundMs ? { bytes: entry.bytes, ageMs } : null
    },
    forget() {
      entries.clear()
      size = 0
      forgotten++
    },
  }
}

/** A copy in memory of its own: a slice would keep the whole chunk of the connection, or of Node's pool, alive. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** The fingerprint, because in another registry a view of the same name and version may differ. */
const viewName = memoizeWeak(({ id, fingerprint }: ViewPlan) => `${id} ${fingerprint} `)

function nameOf(plan: ViewPlan, key: EntityKey): string {
  return viewName(plan) + key
}

function sizeOf(name: string, bytes: Buffer): number {
  return entryBytes + name.length + bytes.length
}
