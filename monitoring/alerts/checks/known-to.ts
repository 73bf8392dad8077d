import { minuteMicros } from '../../rollups/coverage.ts'
import { writtenWithinMicros } from '../../rollups/read-parts.ts'

/** The end of what servers have written by a moment, a whole minute. */
export function knownTo(moment: number): number {
  return Math.floor((moment - writtenWithinMicros) / minuteMicros) * minuteMicros
}
