import type { ShareChange } from '../../registry/rollouts/decisions.ts'

/** A time in which the candidate had one share. Epoch microseconds. */
export interface EqualSharePeriod {
  readonly from: number
  readonly to: number
  readonly share: number
}

/** More are compared as if the earlier ones had not been. */
const maxPeriods = 60

/**
 * The times in which the candidate of a rollout had the same share: in each, its rows and the champion's are of the
 * same moments. Pauses that keep the share do not divide them.
 *
 * @param since when the present champion became it, if it did so later: rows before have none of its own beside them
 * @param changes oldest first
 * @param gapMicros how long after a change servers may still take the share before
 */
export function equalSharePeriods(
  startedAt: number,
  since: number,
  now: number,
  present: number,
  changes: readonly ShareChange[],
  gapMicros: number,
): EqualSharePeriod[] {
  const first = { at: startedAt, share: changes[0]?.before ?? present }
  const starts = [first, ...changes.map(({ at, after }) => ({ at, share: after }))]
  return starts
    .map(({ at, share }, i) => ({ from: Math.max(at, since) + gapMicros, to: starts[i + 1]?.at ?? now, share }))
    .filter(({ from, to }) => from < to)
    .slice(-maxPeriods)
}
