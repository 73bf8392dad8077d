import { formatTimestamp } from './time.ts'

/** A half-open interval, epoch microseconds: `from` is in it, `to` is not. */
export interface Interval {
  readonly from: number
  readonly to: number
}

/** The texts in braces, such as `{date}`, and their values. Parts of dates are those of the beginning, in UTC. */
const parts: Readonly<Record<string, (interval: Interval) => string>> = {
  from: ({ from }) => formatTimestamp(from),
  to: ({ to }) => formatTimestamp(to),
  date: ({ from }) => formatTimestamp(from).slice(0, 10),
  year: ({ from }) => formatTimestamp(from).slice(0, 4),
  month: ({ from }) => formatTimestamp(from).slice(5, 7),
  day: ({ from }) => formatTimestamp(from).slice(8, 10),
  hour: ({ from }) => formatTimestamp(from).slice(11, 13),
  minute: ({ from }) => formatTimestamp(from).slice(14, 16),
}

export const intervalParts: readonly string[] = Object.keys(parts)

const braced = /\{([a-z]+)\}/g

/** Replaces `{from}`, `{date}` and so on. Other braces stay, as SQL has them too. */
export function fillInterval(text: string, interval: Interval): string {
  return text.replace(braced, (whole, name: string) => parts[name]?.(interval) ?? whole)
}

/** The names in braces: `['date', 'hour']` of `day={date}/hour={hour}`. */
export function namesInBraces(text: string): string[] {
  return [...text.matchAll(braced)].map(([, name]) => name as string)
}
