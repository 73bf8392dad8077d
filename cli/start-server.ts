import { createEventIntake } from '../materializer/event-intake.ts'
import { createFreshnessReader } from '../monitoring/freshness/freshness-reader.ts'
import { openOnlineStore } from '../online/open-store.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import { registerFreshness } from '../monitoring/freshness/freshness-metrics.ts'
import { createMetricsRegistry } from '../runtime/metrics.ts'
import { openDatabase } from '../runtime/open-database.ts'
import type { LockstepServer, ServerOptions } from '../serving/server-options.ts'
import { createServer } from '../serving/server.ts'
import type { ServerStatus } from '../serving/lifecycle/server-status.ts'
import type { Context } from './context.ts'
import { serveMetrics } from '../serving/lifecycle/metrics-server.ts'
import { createServerBackfills } from './server-backfills.ts'

type Choices = Pick<ServerOptions, 'defaultAsOf' | 'onUnavailable' | 'status' | 'lead' | 'warmMs'>

/** The server of a process, which the context closes, and its metrics. */
export async function startServer(
  context: Context,
  choices: Choices,
): Promise<{ server: LockstepServer; metrics: ReturnType<typeof createMetricsRegistry> }> {
  const { config, log } = context
  const { database, store, opened } = watched(await dependencies(context))
  const metrics = createMetricsRegistry()
  // one process tells it for all
  const freshness = choices.lead === false ? null : createFreshnessReader({ database: () => opened.database, store: () => opened.store })
  if (freshness !== null) registerFreshness(metrics, freshness)
  const server = createServer({
    config,
    database,
    store,
    intake: (deps) => createEventIntake(deps, config),
    backfills: (deps) => createServerBackfills(deps, config),
    log,
    metrics,
    clock: () => Date.now() * 1000,
    ...(freshness === null
      ? {}
      : { upkeep: { lateViews: async () => (await freshness())?.views.flatMap(({ late }) => late ?? []) ?? [] } }),
    ...choices,
  })
  context.add('server', () => server.close())
  if (config.metricsPort !== null && choices.lead !== false) {
    const own: ServerStatus = { readiness: async () => server.readiness(), metrics: () => metrics.metrics() }
    const source = { ...(choices.status?.(own) ?? own), contentType: metrics.contentType }
    const served = await serveMetrics(source, config, config.metricsPort)
    context.add('metrics', () => served.close())
  }
  return { server, metrics }
}

interface Dependencies {
  readonly database: () => Promise<Database>
  readonly store: () => Promise<OnlineStore>
}

/** The same, and what was opened last. */
function watched({ database, store }: Dependencies): Dependencies & { opened: { database: Database | null; store: OnlineStore | null } } {
  const opened: { database: Database | null; store: OnlineStore | null } = { database: null, store: null }
  return {
    opened,
    database: async () => (opened.database = await database()),
    store: async () => (opened.store = await store()),
  }
}

/**
 * Servers of their own database and store come up without them and wait. The embedded ones are this process's own, so what is wrong with them is said
 * at once; the context closes them, after the server.
 */
async function dependencies(context: Context): Promise<Dependencies> {
  const { config } = context
  const kept = { close: () => Promise.resolve() }
  let database = () => openDatabase(config)
  let store = () => openOnlineStore(config)
  if (config.postgresUrl === null) {
    const db = { ...(await context.database()), ...kept }
    database = () => Promise.resolve(db)
    if (config.redisUrl === null) {
      const online = { ...(await context.store()), ...kept }
      store = () => Promise.resolve(online)
    }
  }
  return { database, store }
}
