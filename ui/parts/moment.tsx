import { useSearch } from '@tanstack/react-router'
import { type ReactElement, useEffect, useState } from 'react'
import { formatAge, formatMoment } from './format.ts'

/** The present moment in epoch milliseconds. What shows it is drawn again every 15 s. */
export function useNow(): number {
  const [, draw] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => draw((count) => count + 1), 15_000)
    return () => clearInterval(timer)
  }, [])
  // what has been read since the last drawing is not of the future
  return Date.now()
}

/** The moment in the address, which the page shows. Undefined: it shows now. */
export function usePastMoment(): string | undefined {
  const { asOf } = useSearch({ strict: false })
  return asOf === undefined || Number.isNaN(Date.parse(asOf)) ? undefined : asOf
}

interface MomentProps {
  /** RFC 3339, or epoch milliseconds. */
  readonly at: string | number | null | undefined
  /** Says the moment itself and no age. */
  readonly exact?: boolean
}

/** A moment: its age at the moment that the page shows, and itself on hover. */
export function Moment({ at, exact = false }: MomentProps): ReactElement {
  const nowMs = useNow()
  const past = usePastMoment()
  if (at === null || at === undefined) return <span className="dim">–</span>
  const shownMs = past === undefined ? nowMs : Date.parse(past)
  const moment = formatMoment(at)
  // an age of months says less than the day
  const far = exact || Math.abs(shownMs - new Date(at).getTime()) > 60 * 86_400_000
  return (
    <time dateTime={new Date(at).toISOString()} title={`${moment} UTC`} className="moment">
      {far ? `${moment} UTC` : formatAge(at, shownMs, past !== undefined)}
    </time>
  )
}
