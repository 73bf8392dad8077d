import { formatTimestamp } from '../kernel/values/time.ts'

/** A stretch of time, epoch microseconds: [from, to). */
export interface Window {
  readonly from: number
  readonly to: number
}

/** A window as answers have it: RFC 3339. */
export function windowJson({ from, to }: Window): { readonly from: string; readonly to: string } {
  return { from: formatTimestamp(from), to: formatTimestamp(to) }
}
