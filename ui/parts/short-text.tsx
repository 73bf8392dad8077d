import type { ReactElement } from 'react'
import { shortFloat } from './format.ts'

interface ShortTextProps {
  /** A value as JSON. */
  readonly text: string | null
}

/** A value. A long fraction is cut to six digits, and all of them are shown on hover. */
export function ShortText({ text }: ShortTextProps): ReactElement {
  if (text === null) return <>null</>
  const short = /^-?\d+\.\d+(e[-+]?\d+)?$/.test(text) ? shortFloat(text, 'float64') : text
  return short === text ? <>{text}</> : <span title={text}>{short}</span>
}
