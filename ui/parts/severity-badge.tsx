import type { ReactElement } from 'react'
import { StateBadge, type Tone } from './state-badge.tsx'
import { usePastMoment } from './moment.tsx'

type Severity = 'page' | 'warn' | 'info'

export const severityTones: Readonly<Record<Severity, Tone>> = { page: 'bad', warn: 'warn', info: 'calm' }

const present = { page: 'Act now', warn: 'Look soon', info: 'For your information' } as const
/** Of a past moment, nothing can be done. */
const past = { page: 'Urgent', warn: 'Warning', info: 'Information' } as const

/** How urgent a problem is. */
export function SeverityBadge({ severity }: { readonly severity: Severity }): ReactElement {
  const words = usePastMoment() === undefined ? present : past
  return (
    <StateBadge state={severity} tone={severityTones[severity]}>
      {words[severity]}
    </StateBadge>
  )
}
