import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useSyncExternalStore } from 'react'
import { connectionStore, queryClient, staleData } from '../api/query-client.ts'
import { formatAge, formatMoment } from '../parts/format.ts'
import { useNow } from '../parts/moment.tsx'

/** What holds of every figure on the page: that it is of a past moment, or old because the server does not answer. */
export function Banners(): ReactElement {
  const { asOf } = useSearch({ strict: false })
  const navigate = useNavigate()
  const { downSinceMs, lastAnswerMs } = useSyncExternalStore(connectionStore.subscribe, connectionStore.get)
  const staleSinceMs = useSyncExternalStore(staleData.subscribe, staleData.sinceMs)
  const nowMs = useNow()
  return (
    <>
      {(downSinceMs !== null || staleSinceMs !== null) && (
        <div className="banner" role="alert" data-tone="warn">
          <span>
            {downSinceMs === null ? 'The server answers with errors.' : 'The server does not answer.'} The page shows what it knew{' '}
            {formatAge(staleSinceMs ?? lastAnswerMs, nowMs)}.
          </span>
          <button type="button" onClick={() => void queryClient.refetchQueries({ type: 'active' })}>
            Try again
          </button>
        </div>
      )}
      {asOf !== undefined && (
        <div className="banner" role="status" data-tone="calm">
          <span>You see everything as of {formatMoment(asOf)} UTC. Pages name what was not recorded.</span>
          <button
            type="button"
            onClick={() =>
              void navigate({ to: '.', search: (before: Record<string, unknown>) => ({ ...before, asOf: undefined }) as never })
            }
          >
            Back to now
          </button>
        </div>
      )}
    </>
  )
}
