import { Button } from '@mantine/core'
import type { ReactElement } from 'react'

interface PagesProps {
  /** Whether this is the first page. */
  readonly first: boolean
  /** The cursor of the next page; null: this is the last one. */
  readonly next: string | null
  /** Shows the page of a cursor; null: the first. */
  readonly show: (cursor: string | null) => void
  /** What is listed: `jobs`. */
  readonly what: string
}

/** Buttons to the next page of a list and back to its first. */
export function Pages({ first, next, show, what }: PagesProps): ReactElement | null {
  if (first && next === null) return null
  return (
    <div className="row more">
      {!first && (
        <Button variant="default" size="compact-sm" onClick={() => show(null)}>
          Newest {what}
        </Button>
      )}
      {next !== null && (
        <Button variant="default" size="compact-sm" onClick={() => show(next)}>
          Older {what}
        </Button>
      )}
    </div>
  )
}
