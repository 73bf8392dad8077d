import type { ReactElement } from 'react'
import { Badge } from './badge.tsx'

interface DriftBadgeProps {
  readonly drifted: boolean
  /** null: it is not measured. */
  readonly distance: number | null
}

/** Whether a column drifted. One that is not measured is not ok. */
export function DriftBadge({ drifted, distance }: DriftBadgeProps): ReactElement {
  if (drifted) return <Badge state="drifted" tone="bad" />
  return distance === null ? <Badge state="not measured" tone="plain" /> : <Badge state="ok" />
}
