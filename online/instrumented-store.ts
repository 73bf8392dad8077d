import type { RoundTrips } from '../runtime/postgres/round-trips.ts'
import type { OnlineStore } from './store.ts'

/** The store, whose reads and writes are measured; `onError` is called for each that fails. */
export function instrumentedStore(store: OnlineStore, onError: (error: unknown) => void, roundTrips: RoundTrips): OnlineStore {
  const name = storeName(store)
  const [timeRead, timeWrite] = [roundTrips.timer(name, 'read'), roundTrips.timer(name, 'write')]
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
    read: (keys, options) => watched(timeRead(() => store.read(keys, options))),
    write: (entries) => watched(timeWrite(() => store.write(entries))),
  }
}

/** As traces and metrics call it. */
export function storeName({ kind }: Pick<OnlineStore, 'kind'>): 'redis' | 'sqlite' {
  return kind === 'redis' ? 'redis' : 'sqlite'
}
