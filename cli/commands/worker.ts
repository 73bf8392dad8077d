import { LockstepError } from '../../kernel/errors.ts'
import { consumeStreams } from '../../materializer/streams/consume-streams.ts'
import { createFreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import { instrumentedStore } from '../../online/instrumented-store.ts'
import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import { registerFreshness } from '../../monitoring/freshness/freshness-metrics.ts'
import { createJobMetrics } from '../../runtime/jobs/job-metrics.ts'
import { createOnlineErrorMetric } from '../../online/online-error-metric.ts'
import type { MetricsRegistry } from '../../runtime/metrics.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { asJson, mergeMetrics } from '../../runtime/workers/merge-metrics.ts'
import { keepPipelines } from '../keep-pipelines.ts'
import { postgresTimers, roundTripsOf } from '../../runtime/postgres/round-trips.ts'
import type { Tracing } from '../../runtime/tracing/span.ts'
import { createStreamMetrics } from '../../materializer/streams/stream-metrics.ts'
import type { ViewRunMetrics } from '../../materializer/runs/view-run-metrics.ts'
import { createViewRunMetrics } from '../../materializer/runs/view-run-metrics.ts'
import type { JobEvent } from '../../runtime/jobs/job-kind.ts'
import { registerJobGauges } from '../../runtime/jobs/job-gauges.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { trainingKind } from '../../registry/trainings/training-spec.ts'
import { scheduledBatches } from '../../serving/batch/scheduled-batches.ts'
import { startWatchdog } from '../../runtime/watchdog.ts'
import { batchJobs } from '../batch-tools.ts'
import { durationOption } from '../duration-option.ts'
import { sleep } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { jobKinds } from '../../runtime/jobs/job-kinds.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { upkeepWork } from '../keep-views.ts'
import { watchMonitors } from '../watch-monitors.ts'
import { logJobs } from '../log-jobs.ts'
import { serveMetrics } from '../../serving/lifecycle/metrics-server.ts'
import { watchDependencies } from '../watch-dependencies.ts'
import { registerTrainingGauges } from '../../training/training-gauges.ts'
import { workOnTrainings } from '../training-tools.ts'
import { counted } from '../text/human.ts'
import { jobTools, workerTools } from '../worker-tools.ts'

const idleCheckMs = 500
const works = ['views', 'exports', 'batches', 'pipelines', 'trainings'] as const

export const workerCommand: Command = {
  name: 'worker',
  summary: 'Keep online views current, consume streams, run jobs, evaluate monitors, and control rollouts',
  description: [
    'Brings online views up to date when rows arrive or their schedules are due, fills new views, consumes the streams that feed sources, runs pipelines, evaluates monitors and delivers their alerts, controls rollouts that have a plan, and runs jobs: backfills, parts of training sets and batches, trainings, syncs of Parquet files. Any number of workers share this work. They need PostgreSQL; with the embedded database, "serve" does this work.',
    'If workers run on several machines, all of them need the folders of exports under the same path.',
    'On SIGINT or SIGTERM it returns its jobs to other workers and exits with 0.',
  ],
  options: {
    concurrency: {
      value: 'N',
      help: 'The maximum number of jobs at the same time, at most 8, besides a run of a scheduled view, a training and the work of monitors. Default: 1.',
    },
    only: {
      value: 'WORK',
      choices: works,
      help: '"views": online views, streams, backfills and monitors; "exports": parts of exports; "batches": parts of batches; "pipelines": streaming inference; "trainings": runs of trainings. Default: all.',
    },
    'until-idle': {
      value: 'DURATION',
      help: 'With --only exports, batches or trainings: exit with 0 when no such job has run for this long, such as 60s.',
    },
    'metrics-port': {
      value: 'PORT',
      help: 'The port of GET /metrics, GET /livez and GET /readyz, on LOCKSTEP_METRICS_HOST. 0: any free port. Default: LOCKSTEP_METRICS_PORT.',
    },
  },
  example: 'lockstep worker --concurrency 2 --metrics-port 9090',
  streams: true,
  async run(context, input) {
    const { config, log, signal } = context
    const concurrency = input.count('concurrency', 1, 8) ?? 1
    const only = input.choice('only', works)
    const idle = input.text('until-idle')
    const idleMs = idle === undefined ? null : durationOption('worker', 'until-idle', idle) / 1000
    if (idleMs !== null && only !== 'exports' && only !== 'batches' && only !== 'trainings')
      throw new LockstepError('USAGE', '"--until-idle" needs "--only" with exports, batches or trainings: other work never ends.')
    const port = input.count('metrics-port', 0, 65_535) ?? config.metricsPort
    if (config.postgresUrl === null) throw embedded()
    const registry = createMetricsRegistry()
    await context.database(postgresTimers(roundTripsOf(registry)))
    const tracing = await context.tracing(registry)
    const [metrics, runMetrics] = [createJobMetrics(registry), createViewRunMetrics(registry)]
    const does = (work: (typeof works)[number]): boolean => only === undefined || only === work
    const views = does('views') ? await viewsWork(context, registry, runMetrics, tracing) : null
    const shared = views?.tools ?? (await jobTools(context))
    const { jobs, worker } = shared
    const exported = does('exports') ? [exportsInParts({ db: shared.db, find: shared.service })] : []
    const batch = does('batches') ? batchJobs(context, shared).kind : null
    const batches = batch === null ? [] : [batch, scheduledBatches({ ...shared, log, store: () => context.store() }, batch)]
    const kinds = [...(views?.kinds ?? []), ...exported, ...batches]
    const pipelines = does('pipelines') ? keepPipelines(context, shared.catalog) : null
    registerJobGauges(registry, async () => shared.db)
    registerTrainingGauges(registry, { database: async () => shared.db, catalog: shared.catalog })
    const deps = { db: shared.db, store: views?.tools.store ?? null, views: views?.problems }
    const watched = await watchDependencies(deps, registry, log, signal)
    context.add('watch', () => watched.close())
    const source = {
      metrics: () => allMetrics(registry, pipelines?.metrics() ?? null),
      contentType: registry.contentType,
      readiness: async () => watched.readiness(),
    }
    const server = port === null ? null : await serveMetrics(source, config, port)
    if (server !== null) context.add('metrics', () => server.close())
    const write = logJobs(log)
    const onEvent = (event: JobEvent): void => {
      write(event)
      metrics.job(event)
    }
    return {
      json: { worker, concurrency, only: only ?? null, metricsPort: server?.port ?? null },
      text: `The worker ${worker} waits for ${workText(only ?? 'all', concurrency)}${server === null ? '' : ` Its metrics are on port ${server.port}.`}`,
      async stay() {
        startWatchdog(config, log)
        const idled = new AbortController()
        const ends = AbortSignal.any([signal, idled.signal])
        const work = Promise.all([
          workOnJobs(jobs, { kinds, known: jobKinds, worker, signal: ends, concurrency, onEvent, tracing }),
          does('trainings') ? workOnTrainings(context, { ...shared, signal: ends, onEvent, tracing }) : undefined,
        ])
        if (idleMs !== null) {
          const names = only === 'trainings' ? [trainingKind] : kinds.map(({ name }) => name)
          await Promise.race([untilIdle(jobs, names, idleMs, signal), work])
          idled.abort(new LockstepError('STOPPED', 'No job has run for the time of --until-idle.'))
        }
        await Promise.all([work, views?.keep(signal, onEvent), pipelines?.keep(signal)])
      },
    }
  },
}

/** The work of a worker, and how much of it at a time. */
function workText(only: (typeof works)[number] | 'all', concurrency: number): string {
  const jobs = `It runs ${counted(concurrency, 'job')} at a time`
  switch (only) {
    case 'views':
      return `views, streams and backfills. ${jobs}; streams, a scheduled view, monitors, alerts and rollouts run beside.`
    case 'exports':
    case 'batches':
      return `parts of ${only}. ${jobs}.`
    case 'pipelines':
      return 'pipelines.'
    case 'trainings':
      return 'trainings. It runs 1 training at a time.'
    case 'all':
      return `views, streams, backfills, pipelines, trainings, and parts of exports and batches. ${jobs}; streams, pipelines, a scheduled view, a training, monitors, alerts and rollouts run beside.`
    default:
      return only satisfies never
  }
}

/** The work of `--only views`: online views, the streams that feed sources, and monitors. */
async function viewsWork(context: Context, registry: MetricsRegistry, metrics: ViewRunMetrics, tracing: Tracing | null) {
  const { config, log } = context
  const opened = await workerTools(context, true)
  const tools = { ...opened, store: instrumentedStore(opened.store, createOnlineErrorMetric(registry), roundTripsOf(registry)) }
  const { db, store, catalog } = tools
  registerFreshness(registry, createFreshnessReader({ database: () => db, store: () => store, catalog }))
  const views = upkeepWork(tools, { log, metrics, tracing, rollupDays: config.rollupDays })
  const streams = { ...tools, config, log, metrics: createStreamMetrics(registry), clock: () => Date.now() * 1000 }
  const monitors = watchMonitors(tools, context, registry)
  return {
    tools,
    kinds: views.kinds,
    problems: views.problems,
    keep: (signal: AbortSignal, onEvent: (event: JobEvent) => void) =>
      Promise.all([consumeStreams(streams, { signal }), views.keep(signal), monitors(onEvent)]),
  }
}

/**
 * Pipelines and batches predict with a second registry, whose metrics have names that the worker's registry has too.
 */
async function allMetrics(own: MetricsRegistry, predicting: MetricsRegistry | null): Promise<string> {
  if (predicting === null) return await own.metrics()
  const both = await Promise.all([own, predicting].map(async (registry) => asJson(await registry.getMetricsAsJSON())))
  return await mergeMetrics(both.map((metrics, i) => metrics.filter(({ name }) => i === 0 || !isLeftOut(name)))).metrics()
}

/** Both registries have the metrics of the one process. Only servers accept requests. */
function isLeftOut(name: string): boolean {
  return /^(process_|nodejs_|lockstep_in_flight_)/.test(name) || ofProcess.has(name)
}

const ofProcess: ReadonlySet<string> = new Set(['lockstep_build_info', 'lockstep_log_lines_dropped_total'])

function embedded(): LockstepError {
  return new LockstepError(
    'CONFIG_INVALID',
    'Workers share their work through PostgreSQL, but the embedded database serves only one process. Set "LOCKSTEP_POSTGRES_URL", or use "lockstep serve", which keeps the views current.',
  )
}

/** Resolves when no job of these kinds has run for so long, or with the signal. */
async function untilIdle(db: Database, kinds: readonly string[], idleMs: number, signal: AbortSignal): Promise<void> {
  let since = performance.now()
  while (!signal.aborted && performance.now() - since < idleMs) {
    for (const kind of kinds) if ((await readJobs(db, { kind, state: 'running', limit: 1 })).length > 0) since = performance.now()
    await sleep(Math.min(idleCheckMs, idleMs), { signal })
  }
}
