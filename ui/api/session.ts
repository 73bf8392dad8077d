import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import type { SessionData } from '../../serving/dashboard/contract/session.ts'
import { connectionStore } from './query-client.ts'
import { type Answer, RequestError, change, forgetAnswers, read } from './request.ts'

const queryKey = ['session'] as const

interface SessionState {
  /** Undefined until it is known; null without a session. */
  readonly session: SessionData | null | undefined
  readonly error: Error | null
}

/** The session; a one-time code in the address's fragment is exchanged for one first. */
export function useSession(): SessionState {
  const { data, error } = useQuery<Answer<SessionData>>({
    queryKey,
    queryFn: async () => {
      const code = new URLSearchParams(location.hash.slice(1)).get('code')
      if (code !== null) {
        history.replaceState(history.state, '', location.pathname + location.search)
        // with a code that is used or too old, the page of signing in says what to do
        await change('/ui/session', { body: { code } }).catch(ignoreRefusal)
      }
      return await read<SessionData>('session')
    },
    staleTime: 60_000,
    retry: 1,
    retryDelay: 300,
    // a page without a session shows nothing else: it comes back with the server
    refetchInterval: (query) => (query.state.data === undefined ? 3000 : false),
    // the page of a failure has parts that read the session too
    retryOnMount: false,
  })
  return { session: data === undefined ? undefined : data.data.signedIn ? data.data : null, error }
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof RequestError) || error.status < 400 || error.status >= 500) throw error
}

/** Signing in with an API key, and out. */
export function useSigning(): { signIn: (key: string) => Promise<void>; signOut: () => Promise<void> } {
  const client = useQueryClient()
  const begin = async (signed: boolean): Promise<void> => {
    forgetAnswers()
    client.removeQueries({ queryKey: ['read'] })
    await client.refetchQueries({ queryKey })
    connectionStore.signed(signed)
  }
  return {
    async signIn(key) {
      await change('/ui/session', { headers: { authorization: `Bearer ${key}` } })
      await begin(true)
    },
    async signOut() {
      await change('/ui/session', { method: 'DELETE' })
      await begin(false)
    },
  }
}

/** What an act needs. */
export type ActScope = 'ui:operate' | 'ui:admin'

/** Whether this page offers acts of a scope: the session and the server allow them, and it shows no past moment. */
export function useOffersActs(scope: ActScope): boolean {
  const { session } = useSession()
  const { asOf } = useSearch({ strict: false })
  return asOf === undefined && session !== null && session !== undefined && !session.readOnly && session.scopes.includes(scope)
}
