import type { OnlineKey } from '../online/store.ts'

/** States of the online store as they were read last, for as long as it is away. */
export interface RecentStates {
  /** Takes note of what the store answered, by index of the keys. */
  note(keys: readonly OnlineKey[], states: readonly (Buffer | null)[]): void
  /** null: it was not read within the bound, or is remembered no more. */
  find(key: OnlineKey): RecentState | null
  forget(): void
}

export interface RecentState {
  readonly bytes: Buffer
  /** How long ago it was read, milliseconds. */
  readonly ageMs: number
}

export interface RecentStatesOptions {
  /** How old an answer may be, milliseconds. */
  readonly boundMs: number
  /** How much is remembered; what was read longest ago goes first. */
  readonly maxBytes: number
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

interface Entry {
  readonly bytes: Buffer
  readonly atMs: number
}

/** What an entry takes beside its bytes and the characters of its name, about. */
const entryBytes = 200

export function createRecentStates({ boundMs, maxBytes, now }: RecentStatesOptions): RecentStates {
  /** In the order of their last reading. */
  const entries = new Map<string, Entry>()
  let size = 0

  function remove(name: string): void {
    const entry = entries.get(name)
    if (entry === undefined) return
    entries.delete(name)
    size -= sizeOf(name, entry.bytes)
  }

  return {
    note(keys, states) {
      const atMs = now()
      for (let i = 0; i < keys.length; i++) {
        const state = states[i] ?? null
        const name = nameOf(keys[i] as OnlineKey)
        remove(name)
        if (state === null) continue
        // a copy: it is a part of all that came over the connection with it
        entries.set(name, { bytes: Buffer.from(state), atMs })
        size += sizeOf(name, state)
      }
      for (const [name, { atMs: then }] of entries) {
        if (size <= maxBytes && atMs - then <= boundMs) break
        remove(name)
      }
    },
    find(key) {
      const entry = entries.get(nameOf(key))
      if (entry === undefined) return null
      const ageMs = now() - entry.atMs
      return ageMs <= boundMs ? { bytes: entry.bytes, ageMs } : null
    },
    forget() {
      entries.clear()
      size = 0
    },
  }
}

/** No view's id holds a space. */
function nameOf({ view, entity, key }: OnlineKey): string {
  return `${view} ${entity} ${key}`
}

function sizeOf(name: string, bytes: Buffer): number {
  return entryBytes + name.length + bytes.length
}
