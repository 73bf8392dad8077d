import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import { createDependencyMetric } from '../runtime/metrics.ts'
import type { Logger } from '../runtime/log.ts'
import type { createMetricsRegistry } from '../runtime/metrics.ts'
import { createDependency } from '../serving/lifecycle/dependency.ts'
import { startPollLoop } from '../runtime/async.ts'

const watchMs = 2_000

/** The services that a worker needs, as of the last check. */
export interface WatchedDependencies {
  /** The names of those that do not answer. */
  readonly failing: readonly string[]
  close(): Promise<void>
}

/**
 * Pings the database, and the online store where there is one, repeatedly. Reports changes in the log and in the
 * metrics. The ping also cuts the connections of a database that no longer answers (`openPostgres`), so that everything
 * that waits on them fails and is retried.
 */
export async function watchDependencies(
  { db, store }: { readonly db: Database; readonly store: OnlineStore | null },
  registry: ReturnType<typeof createMetricsRegistry>,
  log: Logger,
): Promise<WatchedDependencies> {
  const close = (): Promise<void> => Promise.resolve() // their owners close them
  const watched = [
    { name: 'database', dependency: createDependency({ name: 'The database', open: async () => ({ close }), ping: () => db.ping(), log }) },
    ...(store === null
      ? []
      : [
          {
            name: 'store',
            dependency: createDependency({
              name: 'The online store',
              open: async () => ({ close }),
              async ping() {
                await store.ping()
              },
              log,
            }),
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
    get failing() {
      return watched.flatMap(({ name, dependency }) => (dependency.failure === null ? [] : [name]))
    },
    close: () => look.stop(),
  }
}
