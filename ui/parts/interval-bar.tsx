import type { ReactElement } from 'react'
import { type Unit, formatNumber } from './format.ts'

interface IntervalBarProps {
  readonly of: { readonly value: number; readonly low: number; readonly high: number }
  readonly label: string
  readonly unit: Unit
  /** A line at how much is allowed. */
  readonly allowed?: number
}

/** An interval beside zero, which the tick in the middle shows. */
export function IntervalBar({ of: { value, low, high }, label, unit, allowed = 0 }: IntervalBarProps): ReactElement {
  const reach = Math.max(Math.abs(low), Math.abs(high), Math.abs(allowed)) * 1.15 || 1
  const x = (at: number): number => 60 + (at / reach) * 58
  return (
    <svg
      width="120"
      height="18"
      role="img"
      aria-label={`${label}: ${formatNumber(value, unit)}, from ${formatNumber(low, unit)} to ${formatNumber(high, unit)}`}
    >
      <line x1="60" x2="60" y1="1" y2="17" stroke="var(--line-strong)" strokeWidth="1.5" />
      {allowed !== 0 && <line x1={x(allowed)} x2={x(allowed)} y1="1" y2="17" stroke="var(--bad)" strokeWidth="1.5" strokeDasharray="3 2" />}
      <line x1={x(low)} x2={x(high)} y1="9" y2="9" stroke="var(--series-1)" strokeWidth="4" strokeLinecap="round" opacity="0.45" />
      <circle cx={x(value)} cy="9" r="4" fill="var(--series-1)" />
    </svg>
  )
}
