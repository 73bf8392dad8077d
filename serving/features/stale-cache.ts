import type { EntityKey } from '../../kernel/entity-key.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer, OnlineRequest } from '../../online/read.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'

/** States of the online store as they were read last, for when it is away. */
export interface RecentStates {
  /** To be called before a read, and its answer given to `note`. */
  begin(): ReadBegun
  /** Takes note of what `readOnline` answered, unless all was to be forgotten since the read began: what it holds may be what was erased. */
  note(begun: ReadBegun, requests: readonly OnlineRequest[], answers: readonly OnlineAnswer[]): void
  /** null: it was not read within the bound, or is remembered no more. */
  find(plan: ViewPlan, key: EntityKey): RecentState | null
  forget(): void
}

export interface ReadBegun {
  readonly atMs: number
  /** How often all was forgotten before. */
  readonly forgotten: number
}

export interface RecentState {
  readonly bytes: Buffer
  /** How long ago its read began, milliseconds. */
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

/** What an entry takes beside its bytes and the characters of its name, about: measured with states of 30 bytes. */
const entryBytes = 400

export function createRecentStates({ boundMs, maxBytes, now }: RecentStatesOptions): RecentStates {
  /** In the order of their last reading. */
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
        // without values it may have been lost
        if (key === null || (bytes === null && values === null)) continue
        const name = nameOf(plan, key)
        remove(name)
        // one that is larger than all would drive out the others, and then itself
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

/** In memory of its own: a part of what came over the connection would keep all of it, and one of Node's pool what else is there. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** Of another registry, a view of the same name and version may be another one. */
const viewName = memoizeWeak(({ id, fingerprint }: ViewPlan) => `${id} ${fingerprint} `)

function nameOf(plan: ViewPlan, key: EntityKey): string {
  return viewName(plan) + key
}

function sizeOf(name: string, bytes: Buffer): number {
  return entryBytes + name.length + bytes.length
}
