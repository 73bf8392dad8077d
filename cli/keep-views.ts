import { setTimeout } from 'node:timers/promises'
import { messageOf } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { backfills } from '../materializer/backfills/backfill.ts'
import { housekeeping } from '../materializer/housekeeping.ts'
import { reconcileViews } from '../materializer/runs/reconcile-loop.ts'
import type { MaterializeResult } from '../materializer/runs/materialize.ts'
import { sourceSyncs } from '../materializer/sources/sync-source.ts'
import { scheduledRuns } from '../materializer/runs/scheduled-runs.ts'
import { mergeRollupsJobs } from '../monitoring/rollups/merge-rollups.ts'
import { consumeStreams } from '../materializer/streams/consume-streams.ts'
import { logOversized } from '../materializer/runs/log-oversized.ts'
import { baselines } from '../monitoring/baselines/baseline-job.ts'
import { experimentsJobs } from '../monitoring/experiments/experiments-job.ts'
import { figuresJobs } from '../monitoring/figures/figures-job.ts'
import { createBatchJobs } from '../serving/batch/batch-job.ts'
import { scheduledBatches } from '../serving/batch/scheduled-batches.ts'
import { createAlertMetrics } from '../monitoring/alerts/alert-metrics.ts'
import { exportsInParts } from '../offline/distributed-export/export-in-parts.ts'
import { createJobMetrics } from '../runtime/jobs/job-metrics.ts'
import type { Logger } from '../runtime/log.ts'
import type { MetricsRegistry } from '../runtime/metrics.ts'
import type { RollupDays } from '../runtime/settings/variables.ts'
import type { Tracing } from '../runtime/tracing/span.ts'
import { createStreamMetrics } from '../materializer/streams/stream-metrics.ts'
import type { ViewRunMetrics } from '../materializer/runs/view-run-metrics.ts'
import { createViewRunMetrics } from '../materializer/runs/view-run-metrics.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import { registerJobGauges } from '../runtime/jobs/job-gauges.ts'
import { jobKinds } from '../runtime/jobs/job-kinds.ts'
import { workOnJobs } from '../runtime/jobs/work-on-jobs.ts'
import type { Context } from './context.ts'
import { registerTrainingGauges } from '../training/training-gauges.ts'
import { workOnTrainings } from './training-tools.ts'
import { rolloutControl, workOnMonitors } from './watch-monitors.ts'
import type { WorkerTools } from './worker-tools.ts'
import { workerTools } from './worker-tools.ts'

export interface UpkeepWork {
  /** Keeps the online views current, until the signal. */
  keep(signal: AbortSignal): Promise<void>
  /**
   * Backfills, scheduled runs, syncs of sources, housekeeping, baselines, merges of rollups, analyses of experiments
   * and figures of models.
   */
  readonly kinds: readonly JobKind[]
  /** The views whose last attempt of this process failed, one sentence each. */
  readonly problems: () => readonly string[]
}

/** The work of a worker, or of a server with an embedded database: the online views, and what is known about models. */
export function upkeepWork(
  tools: WorkerTools,
  {
    log,
    metrics,
    tracing,
    rollupDays,
  }: { readonly log: Logger; readonly metrics: ViewRunMetrics; readonly tracing: Tracing | null; readonly rollupDays: RollupDays },
): UpkeepWork {
  const all = { ...tools, log, clock: () => Date.now() * 1000 }
  const onTooLarge = logOversized(log, metrics.overCap)
  const onRun = ({ id }: ViewPlan, { rows, tooLarge, setAside }: MaterializeResult): void => {
    metrics.run(id, rows)
    for (const notKept of [tooLarge, setAside]) if (notKept.entities > 0) onTooLarge(id, notKept)
  }
  let problems: readonly string[] = []
  return {
    problems: () => problems,
    keep: (signal) =>
      reconcileViews(all, {
        replayMs: tools.replayMs,
        signal,
        tracing,
        onRun,
        onFailure: ({ id }) => metrics.runFailed(id),
        onProblems: (found) => (problems = found),
      }),
    kinds: [
      backfills(tools, tools.view, { onTooLarge, now: all.clock }),
      scheduledRuns(all, tools.view, onRun, tools.replayMs),
      housekeeping(all),
      sourceSyncs(tools),
      baselines({
        ...tools,
        log,
        onFailure: (version, error) => log.warn({ version, error }, 'the baseline of a model version cannot be made'),
      }),
      mergeRollupsJobs({ db: tools.db, days: rollupDays, clock: all.clock }),
      experimentsJobs(all),
      figuresJobs(all),
    ],
  }
}

const retryMs = 2_000
/** Each poll of an embedded database blocks the process for a moment. */
const idleMs = 2_000

/** The views of an embedded database, within the process that serves them. */
export interface EmbeddedKeeper {
  /**
   * Keeps them current and reads their streams, until the signal. If the online store is down, it waits. Not to be
   * called again before it has ended.
   */
  keep(signal: AbortSignal): Promise<void>
  /**
   * Leaves the views as they are, for a server of history: only makes the training sets and batches, and runs the
   * trainings, that are asked for, controls rollouts and analyzes experiments.
   */
  leaveViews(signal: AbortSignal): Promise<void>
}

export function createEmbeddedKeeper(context: Context, registry: MetricsRegistry): EmbeddedKeeper {
  const { log, config } = context
  const runMetrics = createViewRunMetrics(registry)
  const jobMetrics = createJobMetrics(registry)
  registerJobGauges(registry, () => context.database())
  registerTrainingGauges(registry, { database: () => context.database(), catalog: () => context.catalog() })
  const streamMetrics = createStreamMetrics(registry)
  const alertMetrics = createAlertMetrics(registry, () => context.database())

  async function work(signal: AbortSignal): Promise<void> {
    const tools = await workerTools(context)
    const tracing = await context.tracing(registry)
    const { keep, kinds } = upkeepWork(tools, { log, metrics: runMetrics, tracing, rollupDays: config.rollupDays })
    const exports = exportsInParts({ db: tools.db, find: tools.service })
    const batchTools = { ...tools, log, store: () => Promise.resolve(tools.store) }
    const batches = createBatchJobs(batchTools)
    const streams = { ...tools, config, log, metrics: streamMetrics, clock: () => Date.now() * 1000 }
    const trainings = { ...tools, idleMs, signal, onEvent: jobMetrics.job, tracing }
    const working = Promise.all([
      keep(signal),
      workOnTrainings(context, trainings),
      workOnJobs(tools.jobs, {
        kinds: [...kinds, exports, batches.kind, scheduledBatches(batchTools, batches.kind)],
        known: jobKinds,
        worker: tools.worker,
        signal,
        idleMs,
        onEvent: jobMetrics.job,
        tracing,
      }),
      workOnMonitors(tools, { config, metrics: alertMetrics, signal, onEvent: jobMetrics.job, idleMs }),
      consumeStreams(streams, { signal }),
    ])
    await working.finally(() => batches.close())
  }

  async function workBesideViews(signal: AbortSignal): Promise<void> {
    const tools = await workerTools(context)
    const experiments = experimentsJobs({ ...tools, clock: () => Date.now() * 1000 })
    const exports = exportsInParts({ db: tools.db, find: tools.service })
    const batches = createBatchJobs({ ...tools, log, store: () => Promise.resolve(tools.store) })
    const kinds: readonly JobKind[] = [rolloutControl(tools, config), experiments, exports, batches.kind]
    const common = { signal, idleMs, onEvent: jobMetrics.job }
    const working = Promise.all([
      workOnTrainings(context, { ...tools, ...common, scheduled: false }),
      workOnJobs(tools.jobs, { kinds, known: jobKinds, worker: tools.worker, concurrency: kinds.length, ...common }),
    ])
    await working.finally(() => batches.close())
  }

  async function repeat(doWork: (signal: AbortSignal) => Promise<void>, signal: AbortSignal, failure: string): Promise<void> {
    while (!signal.aborted) {
      try {
        await doWork(signal)
      } catch (error) {
        if (signal.aborted) return
        log.warn({ error: messageOf(error) }, failure)
        await setTimeout(retryMs, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  return {
    keep: (signal) => repeat(work, signal, 'the views cannot be kept up to date'),
    leaveViews: (signal) =>
      repeat(workBesideViews, signal, 'rollouts, experiments, training sets, trainings and batches cannot be worked on'),
  }
}
