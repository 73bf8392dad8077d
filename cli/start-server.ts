import { openOnlineStore } from '../online/open-store.ts'
import { warnOfFiles } from '../runtime/files/files-warning.ts'
import type { MetricsRegistry } from '../runtime/metrics.ts'
import { createMetricsRegistry } from '../runtime/metrics.ts'
import { openDatabase } from '../runtime/postgres/open-database.ts'
import { warnOfFewFiles } from '../runtime/open-files.ts'
import type { PostgresOptions } from '../runtime/postgres/open-postgres.ts'
import { postgresTimers, roundTripsOf } from '../runtime/postgres/round-trips.ts'
import { createUiFolder } from '../serving/dashboard/ui-folder.ts'
import { serveMetrics } from '../serving/lifecycle/metrics-server.ts'
import type { ServerStatus } from '../serving/lifecycle/server-status.ts'
import type { LockstepServer, ServerOptions } from '../serving/server-options.ts'
import { createServer } from '../serving/server.ts'
import type { Context } from './context.ts'

type Choices = Pick<ServerOptions, 'defaultAsOf' | 'onUnavailable' | 'status' | 'lead' | 'keeps' | 'warmMs'>

/** Starts the server of a process, which the context closes, and its metrics. */
export async function startServer(context: Context, choices: Choices): Promise<{ server: LockstepServer; metrics: MetricsRegistry }> {
  const { config, log } = context
  warnOfFewFiles(log)
  if (choices.lead !== false) warnOfFiles(config, log)
  const metrics = createMetricsRegistry()
  const tracing = await context.tracing(metrics)
  const server = createServer({
    config,
    ...(await dependencies(context, postgresTimers(roundTripsOf(metrics)))),
    replayMs: config.replaySeconds * 1000,
    log,
    metrics,
    tracing,
    clock: () => Date.now() * 1000,
    uiFolder: createUiFolder(),
    embeddedDirectory: config.postgresUrl === null ? config.directory : null,
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

/**
 * A server with its own database and store starts without them and waits. Embedded ones belong to this process: their
 * errors are reported at once, and the context closes them after the server.
 */
async function dependencies(context: Context, timers: PostgresOptions['timers']): Promise<Pick<ServerOptions, 'database' | 'store'>> {
  const { config } = context
  const kept = { close: () => Promise.resolve() }
  if (config.postgresUrl !== null) return { database: () => openDatabase(config, { timers }), store: () => openOnlineStore(config) }
  const db = { ...(await context.database()), ...kept }
  const online = config.redisUrl === null ? { ...(await context.store()), ...kept } : null
  return {
    database: () => Promise.resolve(db),
    store: () => (online === null ? openOnlineStore(config) : Promise.resolve(online)),
  }
}
