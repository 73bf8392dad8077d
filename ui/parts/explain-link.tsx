import { Link } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import { keepMoment } from '../shell/navigation.tsx'

interface ExplainLinkProps {
  /** A service or a view. */
  readonly name: string
  /** As JSON, or `airport:ATL`. */
  readonly entity: string
  readonly at?: string | null
  readonly children?: ReactNode
}

/** A link to why an entity has its values at a moment. */
export function ExplainLink({ name, entity, at, children = 'Explain' }: ExplainLinkProps): ReactElement {
  return (
    <Link
      to="/explain"
      search={(before: { asOf?: string }) => ({
        ...keepMoment(before),
        service: name,
        entity,
        ...(at === undefined || at === null ? {} : { at }),
      })}
    >
      {children}
    </Link>
  )
}

/** The key of an entity for people: `{"airport":"ATL"}` is `airport ATL`. */
export function entityText(json: string): string {
  const key = JSON.parse(json) as Record<string, unknown>
  return Object.entries(key)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}
