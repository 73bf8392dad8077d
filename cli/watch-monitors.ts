import type { AlertMetrics } from '../monitoring/alerts/alert-metrics.ts'
import { createAlertMetrics } from '../monitoring/alerts/alert-metrics.ts'
import { activeMonitors } from '../monitoring/alerts/default-monitors.ts'
import { monitoringKinds } from '../monitoring/alerts/evaluate-monitors.ts'
import { controlRollouts } from '../monitoring/rollouts/controller.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Config } from '../runtime/config.ts'
import { readSecret } from '../runtime/config.ts'
import type { JobEvent, JobKind } from '../runtime/jobs/job-kind.ts'
import { workOnJobs } from '../runtime/jobs/work-on-jobs.ts'
import type { MetricsRegistry } from '../runtime/metrics.ts'
import type { Context } from './context.ts'
import type { WorkerTools } from './worker-tools.ts'

interface MonitorsWork {
  readonly config: Pick<Config, 'defaultMonitors' | 'alertPrivateAddresses' | 'ui'>
  readonly metrics: AlertMetrics
  readonly signal: AbortSignal
  readonly onEvent: (event: JobEvent) => void
  readonly idleMs?: number
}

/** An evaluation, deliveries beside it, and the control of rollouts, which takes a minute at a time. */
const concurrency = 3

/**
 * Evaluates monitors, delivers alerts and controls rollouts, until the signal. It has a separate loop, so that they do
 * not wait for long steps of backfills.
 */
export async function workOnMonitors(tools: WorkerTools, { config, metrics, ...work }: MonitorsWork): Promise<void> {
  const { jobs, worker } = tools
  const shared = sharedDeps(tools, config)
  const active = (of: Catalog) => activeMonitors(of, config.defaultMonitors)
  const { publicUrl } = config.ui
  const kinds = [...monitoringKinds({ ...shared, publicUrl, active, worker, metrics }), controlRollouts(shared)]
  await workOnJobs(jobs, { kinds, worker, concurrency, ...work })
}

/** Controls rollouts alone, for a process that watches nothing else. */
export function rolloutControl(tools: WorkerTools, config: Pick<Config, 'alertPrivateAddresses'>): JobKind {
  return controlRollouts(sharedDeps(tools, config))
}

function sharedDeps({ db, store, catalog }: WorkerTools, { alertPrivateAddresses }: Pick<Config, 'alertPrivateAddresses'>) {
  const clock = () => Date.now() * 1000
  return { db, store: async () => store, catalog, readSecret, allowPrivate: alertPrivateAddresses, clock }
}

/** The monitors of a worker: their metrics at once, and their evaluation when it is called. */
export function watchMonitors(
  tools: WorkerTools,
  { config, signal }: Pick<Context, 'config' | 'signal'>,
  registry: MetricsRegistry,
): (onEvent: (event: JobEvent) => void) => Promise<void> {
  const metrics = createAlertMetrics(registry, async () => tools.db)
  return (onEvent) => workOnMonitors(tools, { config, metrics, signal, onEvent })
}
