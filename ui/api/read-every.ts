/** How often an open page reads again what it shows, in milliseconds: what changes faster is read more often. */
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
