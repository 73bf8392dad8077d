import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { SourceRow } from '../offline/rows/row-decoder.ts'
import type { StateReader } from './state-reader.ts'

/**
 * Of the stored states of one portion; two portions are held at a time. The number of keys follows the size of the
 * states that were read last.
 */
const bytesPerPortion = 4 * 1024 * 1024
const maxKeysPerPortion = 500
const firstKeysPerPortion = 32

export interface PrefetchedPortion {
  readonly rows: readonly SourceRow[]
  /** The stored bytes of those entities whose first row is in `rows`. */
  readonly stored: ReadonlyMap<EntityKey, Buffer>
}

/** Cuts a stream into portions and reads each one's states ahead, while the portion before it is folded. */
export async function* prefetchStates(read: StateReader, stream: AsyncIterable<readonly SourceRow[]>): AsyncGenerator<PrefetchedPortion> {
  let before: EntityKey | null = null
  let ahead: Promise<PrefetchedPortion> | null = null
  let maxKeys = firstKeysPerPortion
  for await (const batch of stream) {
    for (let start = 0; start < batch.length;) {
      const { keys, end } = cut(batch, start, before, maxKeys)
      const rows = start === 0 && end === batch.length ? batch : batch.slice(start, end)
      const next = readStored(read, keys).then(({ stored, bytes }) => {
        if (keys.length > 0) maxKeys = keysFor(bytes / keys.length, maxKeys)
        return { rows, stored }
      })
      // Its failure is reported when it is its turn.
      next.catch(() => {})
      before = rows.at(-1)?.key ?? before
      start = end
      if (ahead !== null) yield await ahead
      ahead = next
    }
  }
  if (ahead !== null) yield await ahead
}

/** The rows from `start` on, up to the one that would begin one more entity than `maxKeys`. */
function cut(batch: readonly SourceRow[], start: number, before: EntityKey | null, maxKeys: number): { keys: EntityKey[]; end: number } {
  const keys: EntityKey[] = []
  let last = before
  let end = start
  for (; end < batch.length; end++) {
    const { key } = batch[end] as SourceRow
    if (key === last) continue
    if (keys.length === maxKeys) break
    keys.push(key)
    last = key
  }
  return { keys, end }
}

function keysFor(bytesPerKey: number, before: number): number {
  return Math.max(1, Math.min(Math.floor(bytesPerPortion / Math.max(1, bytesPerKey)), before * 2, maxKeysPerPortion))
}

async function readStored(read: StateReader, keys: readonly EntityKey[]): Promise<{ stored: Map<EntityKey, Buffer>; bytes: number }> {
  const stored = new Map<EntityKey, Buffer>()
  let total = 0
  if (keys.length === 0) return { stored, bytes: total }
  const found = await read(keys)
  for (const [i, key] of keys.entries()) {
    const bytes = found[i]
    if (!bytes) continue
    stored.set(key, bytes)
    total += bytes.length
  }
  return { stored, bytes: total }
}
