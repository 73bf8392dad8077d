import { Button, EmptyState, Skeleton } from '@mantine/core'
import { Link, useSearch } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import { messageOf } from '../api/message-of.ts'
import { type Answer, RequestError } from '../api/request.ts'
import type { Read } from '../api/use-read.ts'
import { keepMoment } from '../shell/navigation.tsx'
import { Command } from './command.tsx'

/** A page while its first answer is on the way: of the size that the page will have, so that nothing jumps. */
export function SkeletonPage(): ReactElement {
  return (
    <div aria-busy="true" aria-label="Loading" role="region">
      <Skeleton height={30} width={260} mb={22} />
      <div className="grid-3">
        <Skeleton height={92} />
        <Skeleton height={92} />
        <Skeleton height={92} />
      </div>
      <Skeleton height={320} mt={16} />
    </div>
  )
}

/** A panel while its first answer is on the way: one skeleton of the height of a short answer. */
function SkeletonPanel(): ReactElement {
  return (
    <div aria-busy="true" aria-label="Loading" role="region" className="panel-waits">
      <Skeleton height={110} />
    </div>
  )
}

interface EmptyProps {
  readonly title: string
  readonly children?: ReactNode
  /** The commands that fill the page, with the names of the example. */
  readonly commands?: readonly string[]
}

/** What a page says that has nothing to show, and how to fill it. */
export function Empty({ title, children, commands = [] }: EmptyProps): ReactElement {
  const { asOf } = useSearch({ strict: false })
  return (
    <EmptyState title={title} description={asOf === undefined || commands.length === 0 ? children : undefined}>
      {/* no command changes the past */}
      {(asOf === undefined ? commands : []).map((command) => (
        <Command key={command} text={command} />
      ))}
    </EmptyState>
  )
}

/** What a page says whose data cannot be read. */
export function Failure({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }): ReactElement {
  const status = error instanceof RequestError ? error.status : null
  const title =
    status === 404
      ? 'There is no such thing'
      : status === 403
        ? 'Your key may not see this'
        : status === 0
          ? 'The server does not answer'
          : 'This cannot be shown'
  return (
    <EmptyState role="alert" title={title} description={messageOf(error)}>
      <EmptyState.Actions>
        {onRetry !== undefined && status !== 404 && status !== 403 && (
          <Button variant="default" size="compact-sm" onClick={onRetry}>
            Try again
          </Button>
        )}
        <Link to="/catalog" search={keepMoment}>
          Open the catalog
        </Link>
      </EmptyState.Actions>
    </EmptyState>
  )
}

interface LoadedProps<Data> {
  readonly of: Read<Data>
  readonly children: (data: Data) => ReactNode
  /** Whether it fills a panel, not a page. */
  readonly inPanel?: boolean
  /** Whether it says what holds of all figures of the answer: not if these are elsewhere on the page. */
  readonly isNoted?: boolean
}

/** Shows what was read, or that it is on the way, or why it cannot be read. Old data stays while later reads fail. */
export function Loaded<Data>({ of, children, inPanel = false, isNoted = true }: LoadedProps<Data>): ReactNode {
  if (of.data !== undefined)
    return (
      <>
        {isNoted && <Reservations answer={of.data} />}
        {children(of.data.data)}
      </>
    )
  if (of.error !== null) return <Failure error={of.error} onRetry={() => void of.refetch()} />
  return inPanel ? <SkeletonPanel /> : <SkeletonPage />
}

/**
 * What holds of all figures of an answer: that they are of now, of a sample, or not final, and what was not recorded.
 */
function Reservations({ answer: { asOf, sampled, mature, notes: said = [] } }: { readonly answer: Answer<unknown> }): ReactElement | null {
  const { asOf: asked } = useSearch({ strict: false })
  const notes = [
    ...said,
    asked !== undefined && Date.parse(asOf) !== Date.parse(asked) ? 'This has no history: it shows what holds now.' : null,
    sampled === undefined ? null : `From a sample: ${sampled}.`,
    mature === false
      ? asked === undefined
        ? 'Some of it can still change, as outcomes come in.'
        : 'Some of it could still change then, as outcomes came in.'
      : null,
  ].filter((note) => note !== null)
  return notes.length === 0 ? null : <p className="reservations dim small">{notes.join(' ')}</p>
}
