import { Alert, Anchor } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useSyncExternalStore } from 'react'
import { connectionStore, queryClient, staleData } from '../api/query-client.ts'
import { formatAge, formatMoment } from '../parts/format.ts'
import { useNow } from '../parts/moment.tsx'

/** What holds of every figure on the page: that it is of a past moment, or old because the server does not answer. */
export function Banners(): ReactElement {
  const { asOf } = useSearch({ strict: false })
  const navigate = useNavigate()
  const { downSinceMs, down, lastAnswerMs } = useSyncExternalStore(connectionStore.subscribe, connectionStore.get)
  const staleSinceMs = useSyncExternalStore(staleData.subscribe, staleData.sinceMs)
  const nowMs = useNow()
  return (
    <>
      {(downSinceMs !== null || staleSinceMs !== null) && (
        <Alert className="banner" data-tone="warn">
          <span>
            {downSinceMs === null ? 'The server answers with errors.' : `The ${down} does not answer.`} The page shows what it knew{' '}
            {formatAge(staleSinceMs ?? lastAnswerMs, nowMs)}.
          </span>
          <Anchor component="button" type="button" onClick={() => void queryClient.refetchQueries({ type: 'active' })}>
            Try again
          </Anchor>
        </Alert>
      )}
      {asOf !== undefined && (
        <Alert className="banner" role="status" data-tone={new Date(asOf).getTime() <= nowMs ? 'calm' : 'warn'}>
          <span>{sayMoment(asOf, nowMs)}</span>
          <Anchor
            component="button"
            type="button"
            onClick={() =>
              void navigate({ to: '.', search: (before: Record<string, unknown>) => ({ ...before, asOf: undefined }) as never })
            }
          >
            Back to now
          </Anchor>
        </Alert>
      )}
    </>
  )
}

function sayMoment(asOf: string, nowMs: number): string {
  const ms = new Date(asOf).getTime()
  if (Number.isNaN(ms)) return `“${asOf.slice(0, 60)}” in the address is no moment. Write one like 2001-03-04T10:00:00Z.`
  if (ms > nowMs) return `${formatMoment(asOf)} UTC is still to come: nothing of it is recorded.`
  return `You see everything as of ${formatMoment(asOf)} UTC. Pages name what was not recorded.`
}
