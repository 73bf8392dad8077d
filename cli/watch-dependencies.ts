import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import { createDependencyMetric } from '../runtime/metrics.ts'
import type { Logger } from '../runtime/log.ts'
import type { createMetricsRegistry } from '../runtime/metrics.ts'
import { createDependency } from '../serving/lifecycle/dependency.ts'
import { startPollLoop } from '../runtime/async.ts'

const watchMs = 2_000

/** What a worker cannot do without, as of the last look. */
export interface WatchedDependencies {
  /** The names of those that do not answer. */
  readonly away: readonly string[]
  close(): Promise<void>
}

/**
 * Asks the database, and the online store where there is one, again and again whether they answer; says so in the log
 * when that changes, and in the metrics. A database that has gone silent has its connections cut by that
 * (`openPostgres`), so that whatever waits on them fails, and is tried again.
 */
export async function watchDependencies(
  { db, store }: { readonly db: Database; readonly store: OnlineStore | null },
  registry: ReturnType<typeof createMetricsRegistry>,
  log: Logger,
): Promise<WatchedDependencies> {
  const close = (): Promise<void> => Promise.resolve() // they are others' to close
  const watched = [
    { name: 'database', dependency: createDependency({ name: 'The database', open: async () => ({ close }), ping: () => db.ping(), log }) },
    ...(store === null
      ? []
      : [
          {
            name: 'store',
            dependency: createDependency({ name: 'The online store', open: async () => ({ close }), ping: () => store.ping(), log }),
          },
        ]),
  ]
  const tell = createDependencyMetric(registry)
  const look = startPollLoop(
    async () => {
      await Promise.all(watched.map(({ dependency }) => dependency.check()))
      for (const { name, dependency } of watched) tell(name, dependency.failure === null)
    },
    () => watchMs,
  )
  await look.first
  return {
    get away() {
      return watched.flatMap(({ name, dependency }) => (dependency.failure === null ? [] : [name]))
    },
    close: () => look.stop(),
  }
}
