import { formatTimestamp } from '../../kernel/time.ts'
import { createEventIntake } from '../../materializer/event-intake.ts'
import { createFreshnessReader } from '../../materializer/freshness-reader.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import { registerFreshness } from '../../runtime/freshness-metrics.ts'
import { createJobMetrics } from '../../runtime/job-metrics.ts'
import { createStreamMetrics } from '../../runtime/streams/stream-metrics.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { openDatabase } from '../../runtime/open-database.ts'
import { createServer } from '../../serving/server.ts'
import { whenUnavailable } from '../../serving/when-unavailable.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { keepEmbedded } from '../keep-views.ts'
import { createServerBackfills } from '../server-backfills.ts'

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Answer features and predictions over HTTP',
  description: [
    'Listens on LOCKSTEP_HOST and LOCKSTEP_PORT. It starts with PostgreSQL or Redis away, and is ready once they answer (GET /readyz).',
    'With the embedded database it keeps online views current, as "worker" does elsewhere, unless it serves history (--as-of).',
    'On SIGINT or SIGTERM it finishes the requests under way, and exits with 0.',
  ],
  options: {
    host: { value: 'HOST', help: 'Instead of LOCKSTEP_HOST.' },
    port: { value: 'PORT', help: 'Instead of LOCKSTEP_PORT; 0 takes any that is free.' },
    'grpc-port': { value: 'PORT', help: 'Instead of LOCKSTEP_GRPC_PORT: answers gRPC there too; 0 takes any that is free.' },
    'when-unavailable': {
      value: 'WHAT',
      help: 'What requests get that need an online store that is away: error, or defaults, which are flagged. Default: error.',
    },
    'as-of': { value: 'TIME', help: 'The moment of requests that name none, to serve history. Default: now.' },
  },
  example: 'lockstep serve --port 8080',
  async run(context, input) {
    const { config, log, signal } = context
    const defaultAsOf = input.time('as-of')
    const policy = input.choice('when-unavailable', whenUnavailable)
    const { database, store, opened } = watched(await dependencies(context))
    const metrics = createMetricsRegistry()
    registerFreshness(metrics, createFreshnessReader({ database: () => opened.database, store: () => opened.store }))
    const server = createServer({
      config,
      database,
      store,
      intake: (deps) => createEventIntake(deps, config),
      backfills: (deps) => createServerBackfills(deps, config),
      log,
      metrics,
      clock: () => Date.now() * 1000,
      ...(defaultAsOf === undefined ? {} : { defaultAsOf }),
      ...(policy === undefined ? {} : { whenUnavailable: policy }),
    })
    context.add('server', () => server.close())
    const { host, port, url, grpcPort } = await server.listen(
      input.text('host') ?? config.host,
      input.count('port', 0, 65_535) ?? config.port,
      input.count('grpc-port', 0, 65_535) ?? config.grpcPort ?? undefined,
    )
    const asOf = defaultAsOf === undefined ? null : formatTimestamp(defaultAsOf)
    return {
      json: { url, host, port, ...(grpcPort === null ? {} : { grpcPort }), asOf },
      text: `Listening on ${url}${grpcPort === null ? '' : `, gRPC on port ${grpcPort}`}${asOf === null ? '' : `, as of ${asOf} where a request names no moment`}.`,
      async stay() {
        // of a database that other processes reach, workers do it; history is served as it was
        const keeps = config.postgresUrl === null && defaultAsOf === undefined
        const keeping = keeps ? keepEmbedded(context, createJobMetrics(metrics), createStreamMetrics(metrics)) : null
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        await Promise.all([server.close(), keeping])
      },
    }
  },
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
