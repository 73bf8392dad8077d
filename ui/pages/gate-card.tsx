import { Progress } from '@mantine/core'
import type { ReactElement, ReactNode } from 'react'
import { keepUnits } from '../parts/format.ts'
import { StateBadge, type Tone } from '../parts/state-badge.tsx'

interface GateCardProps {
  readonly name: string
  /** Of the card, where it is not the only one of the gate: `Gate errors, as it was decided`. */
  readonly label?: string
  readonly state: string
  readonly tone: Tone
  readonly says: string
  readonly children: ReactNode
}

/** A gate with its verdict and the sentence that says why. */
export function GateCard({ name, label = `Gate ${name}`, state, tone, says, children }: GateCardProps): ReactElement {
  return (
    <section className="gate" data-tone={tone} aria-label={label}>
      <div className="gate-head">
        <h3>{name}</h3>
        <StateBadge state={state} tone={tone} />
      </div>
      <p>{keepUnits(says)}</p>
      {children}
    </section>
  )
}

/** How much of something is there, from 0 to 1. */
export function GateBar({ share, label, text }: { readonly share: number; readonly label: string; readonly text: string }): ReactElement {
  return (
    <Progress.Root size="md" mt={6}>
      <Progress.Section value={Math.min(1, share) * 100} className="gate-bar" aria-label={label} aria-valuetext={text} />
    </Progress.Root>
  )
}
