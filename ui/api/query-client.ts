import { QueryCache, QueryClient } from '@tanstack/react-query'
import { RequestError } from './request.ts'

/** The connection to the server, as the last reads found it. */
export interface Connection {
  /** When reads began to fail, in epoch milliseconds; null while they succeed. */
  readonly downSinceMs: number | null
  /** What did not answer. */
  readonly down: 'server' | 'database'
  readonly lastAnswerMs: number
  readonly signedOut: boolean
}

let connection: Connection = { downSinceMs: null, down: 'server', lastAnswerMs: Date.now(), signedOut: false }
const listeners = new Set<() => void>()

function become(next: Connection): void {
  connection = next
  for (const listener of listeners) listener()
}

export const connectionStore = {
  get: (): Connection => connection,
  subscribe(listener: () => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
  /** Says that a session exists, or no longer does. */
  signed(into: boolean): void {
    become({ ...connection, signedOut: !into })
  },
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onSuccess: () => become({ ...connection, downSinceMs: null, lastAnswerMs: Date.now() }),
    onError(error) {
      if (!(error instanceof RequestError)) return
      if (error.status === 401) connectionStore.signed(false)
      else if (error.isUnreachable)
        become({ ...connection, downSinceMs: connection.downSinceMs ?? Date.now(), down: error.isOfDatabase ? 'database' : 'server' })
    },
  }),
  defaultOptions: { queries: { staleTime: 5_000, gcTime: 10 * 60_000, refetchOnWindowFocus: true, networkMode: 'always' } },
})

/** Reads again what the page shows. Resolves once the page shows it. */
export async function readAgain(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ['read'] })
  // answers reach the page by a timer, after which this one runs
  await new Promise((shown) => setTimeout(shown))
}

/** Whether the page shows old data because reading it again failed, for whatever reason of the server. */
export const staleData = {
  subscribe: (listener: () => void): (() => void) => queryClient.getQueryCache().subscribe(listener),
  /** When the oldest of that data was read, in epoch milliseconds; null: there is none. */
  sinceMs(): number | null {
    const stale = queryClient.getQueryCache().findAll({
      type: 'active',
      predicate: ({ state: { data, error } }) =>
        data !== undefined && error instanceof RequestError && (error.status === 0 || error.status >= 500),
    })
    return stale.length === 0 ? null : Math.min(...stale.map(({ state }) => state.dataUpdatedAt))
  },
}
