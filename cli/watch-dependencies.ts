import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { createDependencyMetric } from '../runtime/metrics.ts'
import type { Logger } from '../runtime/log.ts'
import type { createMetricsRegistry } from '../runtime/metrics.ts'
import { createClockWatch } from '../serving/lifecycle/clock-watch.ts'
import { createDependency } from '../serving/lifecycle/dependency.ts'
import { createMemoryWatch } from '../serving/lifecycle/memory-watch.ts'
import { createObstacleWatch } from '../serving/lifecycle/obstacle-watch.ts'
import { createOnlineServers } from '../serving/lifecycle/online-servers.ts'
import { startPollLoop } from '../runtime/async.ts'

const watchMs = 2_000

export interface WorkerReadiness {
  readonly ready: boolean
  /** The names of the services that do not answer. */
  readonly failing: readonly string[]
  /** The names of those that answer and have a problem. */
  readonly degraded?: readonly string[]
  /** One sentence for each problem. It may name hosts: for the operator. */
  readonly warnings?: readonly string[]
}

/** The services that a worker needs, as of the last check. */
export interface WatchedDependencies {
  readonly readiness: () => WorkerReadiness
  close(): Promise<void>
}

/**
 * Pings the database, and the online store where there is one, repeatedly. Reports changes in the log and in the
 * metrics. The ping also cuts the connections of a database that no longer answers (`openPostgres`), so that everything
 * that waits on them fails and is retried.
 *
 * @param deps.views what is wrong with the online views, one sentence each
 * @param signal that of the database and the store: its abort ends their pings, which is no failure of theirs
 */
export async function watchDependencies(
  {
    db,
    store,
    views = () => [],
  }: { readonly db: Database; readonly store: OnlineStore | null; readonly views?: (() => readonly string[]) | undefined },
  registry: ReturnType<typeof createMetricsRegistry>,
  log: Logger,
  signal?: AbortSignal,
): Promise<WatchedDependencies> {
  const close = (): Promise<void> => Promise.resolve() // their owners close them
  const servers = createOnlineServers(log)
  const memory = createMemoryWatch(log)
  const obstacle = createObstacleWatch(log)
  const machineClock = createClockWatch(log, 'this worker')
  const shared = { open: async () => ({ close }), log, ...(signal === undefined ? {} : { signal }) }
  const watched = [
    { name: 'database', dependency: createDependency({ ...shared, name: 'The database', ping: () => db.ping() }) },
    ...(store === null
      ? []
      : [
          {
            name: 'store',
            dependency: createDependency({ ...shared, name: 'The online store', ping: () => servers.ping(store) }),
          },
        ]),
  ]
  const failing = () => watched.flatMap(({ name, dependency }) => (dependency.failure === null ? [] : [name]))
  const tell = createDependencyMetric(registry)
  const look = startPollLoop(
    async () => {
      await Promise.all(watched.map(({ dependency }) => dependency.check()))
      if (signal?.aborted === true) return
      for (const { name, dependency } of watched) tell(name, dependency.failure === null)
      if (!failing().includes('database')) {
        obstacle.check(db)
        await machineClock.check(db)
      }
      if (store !== null && !failing().includes('store')) await memory.check(store)
    },
    () => watchMs,
  )
  await look.first
  return {
    readiness() {
      const down = failing()
      const ofDatabase = down.includes('database') ? [] : obstacle.warnings
      const ofStore = [...(down.includes('store') ? [] : servers.warnings), ...memory.warnings]
      // while something is down, no view can be kept current
      const found = { database: ofDatabase, store: ofStore, views: down.length === 0 ? views() : [], clock: machineClock.warnings }
      const warnings = Object.values(found).flat()
      const degraded = Object.entries(found).flatMap(([name, texts]) => (texts.length === 0 ? [] : [name]))
      return { ready: down.length === 0, failing: down, ...(warnings.length === 0 ? {} : { degraded, warnings }) }
    },
    close: () => look.stop(),
  }
}
