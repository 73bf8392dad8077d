import { minuteMicros } from '../../rollups/coverage.ts'

/** Servers write a minute within two minutes of its end: later ones are not looked at yet. */
const writingMicros = 120_000_000

/** The end of what servers have written by a moment, a whole minute. */
export function knownTo(moment: number): number {
  return Math.floor((moment - writingMicros) / minuteMicros) * minuteMicros
}
