import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { expecting, stored, storedCount } from './stored-bytes.ts'

/** Adds one to the stored frontier of a key, `times` times, as any writer must: read, compare, retry. */
export async function increment(store: OnlineStore, key: OnlineKey, times: number): Promise<void> {
  for (let done = 0; done < times;) {
    const [bytes] = await store.read([key])
    const count = bytes ? storedCount(bytes) : null
    const [won] = await store.write([{ ...key, expected: count === null ? null : expecting(count), bytes: stored((count ?? 0) + 1, '') }])
    if (won) done++
  }
}
