import type { ReactElement, ReactNode } from 'react'
import { keepUnits } from './format.ts'

interface LabelledProps {
  readonly label: string
  /** null: nothing is shown. */
  readonly children: ReactNode
}

/** A paragraph behind its label: `What to do: …`. */
export function Labelled({ label, children }: LabelledProps): ReactElement | null {
  if (children === null) return null
  return (
    <p>
      <span className="dim">{label}: </span>
      {keepUnits(children)}
    </p>
  )
}
