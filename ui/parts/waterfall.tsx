import type { ReactElement } from 'react'
import { type Unit, formatNumber } from './format.ts'

interface WaterfallProps {
  readonly label: string
  readonly unit: Unit
  readonly stages: readonly {
    readonly name: string
    readonly value: number | null
    readonly worst?: number | null
    /** Of how many, or why it is not known. */
    readonly says?: string | null
  }[]
}

/** Stages one after the other, each a bar that begins where the one before ends; a thin line is its worst case. */
export function Waterfall({ label, unit, stages }: WaterfallProps): ReactElement {
  const begins: number[] = [0]
  for (const { value } of stages) begins.push((begins.at(-1) ?? 0) + (value ?? 0))
  const end = Math.max(
    ...stages.map(({ value, worst }, index) => (begins[index] ?? 0) + Math.max(value ?? 0, worst ?? 0)),
    Number.MIN_VALUE,
  )
  const part = (size: number): string => `${(size / end) * 100}%`
  return (
    <ol className="waterfall" aria-label={label}>
      {stages.map(({ name, value, worst, says }, index) => (
        <li key={name}>
          <span>
            {name}
            {says !== undefined && says !== null && <span className="dim small waterfall-says">{says}</span>}
          </span>
          <span className="waterfall-bar" aria-hidden="true">
            {worst !== null && worst !== undefined && <i style={{ left: part(begins[index] ?? 0), width: part(worst) }} />}
            {value !== null && value > 0 && <span style={{ left: part(begins[index] ?? 0), width: part(value) }} />}
          </span>
          <span className="numeric">
            {formatNumber(value, unit)}
            {worst !== null && worst !== undefined && <span className="dim"> (p99 {formatNumber(worst, unit)})</span>}
          </span>
        </li>
      ))}
    </ol>
  )
}
