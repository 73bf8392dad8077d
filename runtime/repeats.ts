/**
 * Decides which lines of a log that repeats are written: of each cause the first, and then one a minute.
 *
 * @returns how much came of this cause since its last line, this time included; null: the line is left out
 */
export type Repeats = (cause: string, amount?: number) => number | null

const lineMs = 60_000
/** More causes than this within a minute, such as errors that name a row, count as one. */
const maxCauses = 100
const others = ''

/** @param now milliseconds of a clock that is never set */
export function createRepeats(now: () => number = () => performance.now()): Repeats {
  /** When each cause had its last line, and how much came since. */
  const causes = new Map<string, { at: number; leftOut: number }>()

  function keyOf(cause: string): string {
    if (causes.has(cause) || causes.size < maxCauses) return cause
    for (const [other, { at }] of causes) if (now() - at >= lineMs) causes.delete(other)
    return causes.size < maxCauses ? cause : others
  }

  return (cause, amount = 1) => {
    const key = keyOf(cause)
    const known = causes.get(key)
    if (known !== undefined && now() - known.at < lineMs) {
      known.leftOut += amount
      return null
    }
    causes.set(key, { at: now(), leftOut: 0 })
    return amount + (known?.leftOut ?? 0)
  }
}
