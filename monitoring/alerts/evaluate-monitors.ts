import { z } from 'zod'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { cronOf } from '../../registry/define/period.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import type { ActiveMonitors } from './default-monitors.ts'
import type { DeliveryDeps } from './deliver/deliver-alerts.ts'
import { deliverAlerts } from './deliver/deliver-alerts.ts'
import { evaluateMonitor } from './evaluate-monitor.ts'
import type { AlertMetrics } from './alert-metrics.ts'
import { endRemovedMonitors, readMemories, recordEvaluation } from './record-evaluation.ts'

export interface MonitoringDeps extends Omit<DeliveryDeps, 'channels'> {
  readonly store: () => Promise<OnlineStore | null>
  readonly catalog: () => Promise<Catalog>
  readonly active: (catalog: Catalog) => ActiveMonitors
  readonly worker: string
  readonly metrics?: AlertMetrics
}

const monitorJob = z.object({ monitor: z.string() })
type MonitorJob = z.output<typeof monitorJob>

export const monitorKind = 'monitor' satisfies JobKindName

/** The kinds of jobs that evaluate monitors and deliver their alerts. */
export function monitoringKinds(deps: MonitoringDeps): readonly JobKind[] {
  const { metrics } = deps
  const active = async (): Promise<ActiveMonitors> => deps.active(await deps.catalog())
  const delivery = deliverAlerts({
    ...deps,
    channels: async () => (await active()).channels,
    ...(metrics === undefined ? {} : { onDelivery: metrics.delivered }),
  })
  return [evaluateMonitors(deps, delivery), delivery]
}

/**
 * One job for each monitor and instant of its schedule. The instant is the end of the window, so that a retry evaluates
 * the same one.
 */
function evaluateMonitors(deps: MonitoringDeps, delivery: ReturnType<typeof deliverAlerts>): JobKind<MonitorJob> {
  const { db, worker, clock, metrics } = deps

  async function deliverTo(channels: readonly string[]): Promise<void> {
    for (const channel of channels) await submitJob(db, delivery, { spec: { channel }, subject: channel, key: channel, worker })
  }

  return {
    name: monitorKind,
    spec: monitorJob,
    retries: 3,
    backoffSeconds: { from: 2, to: 20 },
    leaseSeconds: 60,
    keepDays: 0,
    async schedules() {
      const { monitors } = deps.active(await deps.catalog())
      return monitors.flatMap(({ name, everyMicros }) => {
        const cron = cronOf(everyMicros)
        return cron === null ? [] : [{ key: name, subject: name, cron, spec: { monitor: name } }]
      })
    },
    async run({ spec, moment }, _chunk, { signal }) {
      const catalog = await deps.catalog()
      const { monitors, channels } = deps.active(catalog)
      const now = moment ?? clock()
      await deliverTo(await endRemovedMonitors(db, monitors, channels, now))
      const monitor = monitors.find(({ name }) => name === spec.monitor)
      if (monitor === undefined) return null
      const store = await deps.store().catch(() => null)
      const memories = await readMemories(db, monitor.name)
      const checked = await evaluateMonitor({ db, store, catalog, clock, signal }, monitor, now, memories)
      faultPoint('monitor: evaluated')
      const recorded = await recordEvaluation(db, monitor, channels, now, checked)
      faultPoint('monitor: recorded')
      if (recorded.isNew) metrics?.evaluated(recorded.findings)
      await deliverTo(recorded.channels)
      return { ...recorded.findings }
    },
    describe: ({ subject }) => `the monitor "${subject}"`,
  }
}
