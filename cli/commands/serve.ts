import { fileURLToPath } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { startWatchdog } from '../../runtime/watchdog.ts'
import { createWorkerPool } from '../../runtime/workers/pool.ts'
import { tryPort } from '../../runtime/listen.ts'
import type { ListeningAt } from '../../serving/server-options.ts'
import { onUnavailable } from '../../serving/features/fallback-policy.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import { untilAborted } from '../interrupt.ts'
import { createEmbeddedKeeper } from '../keep-views.ts'
import { createPipelineMetrics } from '../../serving/streaming/pipeline-metrics.ts'
import { runPipelines } from '../../serving/streaming/run-pipelines.ts'
import { startServer } from '../start-server.ts'
import { offerLinks, uiLink } from '../ui-link.ts'

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serve features and predictions over HTTP and gRPC',
  description: [
    'Listens on LOCKSTEP_HOST and LOCKSTEP_PORT. Starts even if PostgreSQL or Redis is down, and is ready when they answer (GET /readyz).',
    'With the embedded database it keeps online views current, as "worker" does elsewhere, unless it serves history (--as-of). It also makes training sets and batches, runs trainings, controls rollouts and analyzes experiments. Schedules wait while it serves history.',
    'On SIGINT or SIGTERM it finishes the requests in progress and exits with 0.',
    'With --workers, several processes answer on one port, and a process that dies is replaced. They need PostgreSQL and Redis.',
  ],
  options: {
    host: { value: 'HOST', help: 'Instead of LOCKSTEP_HOST.' },
    port: { value: 'PORT', help: 'The port, instead of LOCKSTEP_PORT. 0: any free port.' },
    'grpc-port': { value: 'PORT', help: 'The gRPC port, instead of LOCKSTEP_GRPC_PORT. 0: any free port.' },
    workers: { value: 'N', help: 'Run N server processes on one port, at most 64. Default: only this process.' },
    'on-unavailable': {
      value: 'WHAT',
      choices: onUnavailable,
      help: 'What requests get while the online store is down: error (the default), stale (values that were read within LOCKSTEP_STALE_SECONDS), or defaults (stale values if there are any, else defaults). Fallback answers are flagged.',
    },
    'as-of': { value: 'TIME', help: 'The moment of requests that name none, to serve the past. Default: now.' },
  },
  example: 'lockstep serve --port 8080',
  async run(context, input) {
    context.announceStores()
    const workers = input.count('workers', 1, 64)
    return await (workers === undefined ? serveAlone(context, input) : serveWithWorkers(context, input, workers))
  },
}

async function serveAlone(context: Context, input: Input): Promise<Outcome> {
  const { config, log, signal } = context
  const { defaultAsOf, policy, host, port, grpcPort } = choices(context, input)
  const { server, metrics } = await startServer(context, {
    ...(defaultAsOf === undefined ? {} : { defaultAsOf }),
    ...(policy === undefined ? {} : { onUnavailable: policy }),
  })
  const at = await server.listen(host, port, grpcPort)
  const report = listeningReport(at, defaultAsOf)
  const canOffer = at.uiUrl !== null && config.postgresUrl === null && context.terminal.canAsk
  return {
    json: report.json,
    text: canOffer ? `${report.text} Press Enter for a link to its dashboard.` : report.text,
    async stay() {
      startWatchdog(config, log)
      const { uiUrl } = at
      if (uiUrl !== null && config.postgresUrl === null) offerLinks(context, () => uiLink(context, uiUrl))
      // workers do this for a database that other processes share
      const keeper = config.postgresUrl === null ? createEmbeddedKeeper(context, metrics) : null
      // history is served as it was
      const keeping = defaultAsOf === undefined ? keeper?.keep(signal) : keeper?.leaveViews(signal)
      const { predicting } = server
      const pipelines =
        keeper === null || defaultAsOf !== undefined
          ? null
          : runPipelines({ predicting, config, metrics: createPipelineMetrics(metrics), log }, { signal })
      await untilAborted(signal)
      // they finish what they have taken, which needs the models
      await pipelines
      await Promise.all([server.close(), keeping])
    },
  }
}

/** This process only hands out connections. */
async function serveWithWorkers(context: Context, input: Input, count: number): Promise<Outcome> {
  const { config, log, signal } = context
  for (const [name, url] of [
    ['LOCKSTEP_POSTGRES_URL', config.postgresUrl],
    ['LOCKSTEP_REDIS_URL', config.redisUrl],
  ] as const) {
    if (url !== null) continue
    throw new LockstepError(
      'EMBEDDED_ALONE',
      `--workers needs PostgreSQL and Redis, and "${name}" is not set. Set it, or remove --workers.`,
      { details: { setting: name } },
    )
  }
  const { defaultAsOf, policy, host, port, grpcPort } = choices(context, input)
  // all processes get the same port number
  const boundPort = await tryPort(host, port)
  const boundGrpcPort = grpcPort === undefined ? null : await tryPort(host, grpcPort, 'LOCKSTEP_GRPC_PORT')
  const pool = createWorkerPool({
    file: fileURLToPath(new URL(`../serve-child${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)),
    count,
    task: { host, port: boundPort, grpcPort: boundGrpcPort, asOf: defaultAsOf ?? null, onUnavailable: policy ?? null },
    log,
  })
  context.add('workers', () => pool.close())
  const { json, text } = listeningReport(await pool.start(), defaultAsOf)
  return {
    json: { ...json, workers: count },
    text: `${text} ${count} workers answer.`,
    async stay() {
      await untilAborted(signal)
      await pool.close()
    },
  }
}

function choices({ config }: Context, input: Input) {
  return {
    defaultAsOf: input.time('as-of'),
    policy: input.choice('on-unavailable', onUnavailable),
    host: input.text('host') ?? config.host,
    port: input.count('port', 0, 65_535) ?? config.port,
    grpcPort: input.count('grpc-port', 0, 65_535) ?? config.grpcPort ?? undefined,
  }
}

function listeningReport(
  { host, port, url, grpcPort }: Omit<ListeningAt, 'uiUrl'>,
  defaultAsOf: number | undefined,
): { json: object; text: string } {
  const asOf = defaultAsOf === undefined ? null : formatTimestamp(defaultAsOf)
  return {
    json: { url, host, port, ...(grpcPort === null ? {} : { grpcPort }), asOf },
    text: `Listening on ${url}${grpcPort === null ? '' : `, gRPC on port ${grpcPort}`}${asOf === null ? '' : `, as of ${asOf} for requests that name no moment`}.`,
  }
}
