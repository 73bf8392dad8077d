import type { ReactElement } from 'react'
import { StateBadge } from './state-badge.tsx'

interface DriftBadgeProps {
  readonly drifted: boolean
  /** null: it is not measured. */
  readonly distance: number | null
  /** Since when it has drifted, in words. */
  readonly since: string | null
}

/** Whether a column drifted. One that is not measured is not ok. */
export function DriftBadge({ drifted, distance, since }: DriftBadgeProps): ReactElement {
  if (drifted)
    return (
      <>
        <StateBadge state="drifted" tone="bad" />
        {since !== null && <div className="dim small">{since}</div>}
      </>
    )
  return distance === null ? <StateBadge state="not measured" tone="plain" /> : <StateBadge state="ok" />
}
