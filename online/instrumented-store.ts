import type { OnlineStore } from './store.ts'

/** The store; `onError` is called for each read and write that fails. */
export function instrumentedStore(store: OnlineStore, onError: (error: unknown) => void): OnlineStore {
  async function watched<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      onError(error)
      throw error
    }
  }
  return {
    ...store,
    read: (keys, options) => watched(store.read(keys, options)),
    write: (entries) => watched(store.write(entries)),
  }
}
