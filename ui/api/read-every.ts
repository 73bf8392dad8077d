/**
 * How often an open page reads again what it shows, in milliseconds: what changes faster is read more often. What stays
 * the same is read less often (`readAfterMs`).
 */
export const readEveryMs = {
  jobs: 3000,
  /** What goes on now: problems, rollouts and pipelines. */
  now: 5000,
  /** All that no other one is of. */
  usual: 10_000,
  /** Parity, and the freshness of a view: figures of a day with what waits now. */
  day: 30_000,
  /** What changes by the hour or with definitions: quality, statistics of features, lineage and the catalog. */
  hour: 60_000,
} as const

/** Of the interval: how much longer it becomes at most. */
const maxFactor = 3

/**
 * When to read again, in milliseconds, after so many reads in a row that found nothing new; below 0: they do not count.
 */
export function readAfterMs(everyMs: number, unchanged: number): number {
  return everyMs * Math.min(maxFactor, 1 + Math.max(0, unchanged))
}
