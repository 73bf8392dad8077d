import { Counter } from 'prom-client'
import { createExposureMetrics } from '../monitoring/exposures/exposure-metrics.ts'
import type { ExposureRecorder } from '../monitoring/exposures/exposure-recorder.ts'
import { createExposureRecorder } from '../monitoring/exposures/exposure-recorder.ts'
import { createLogMetrics } from '../monitoring/prediction-log/log-metrics.ts'
import type { PredictionLog } from '../monitoring/prediction-log/prediction-log.ts'
import { createPredictionLog } from '../monitoring/prediction-log/prediction-log.ts'
import { createRolloutCounts } from '../monitoring/rollouts/rollout-counts.ts'
import { createRollups } from '../monitoring/rollups/create-rollups.ts'
import type { RollupRecorder } from '../monitoring/rollups/rollup-recorder.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { LogShares } from '../runtime/settings/log-shares.ts'
import type { LiveCatalog } from './models/live-catalog.ts'
import type { Bypass } from './rollouts/bypass.ts'
import { createBypass } from './rollouts/bypass.ts'
import { countRollouts } from './rollouts/count-rollouts.ts'
import type { ServerOptions } from './server-options.ts'

/** The records that a server keeps of its answers. Each is written in the background. */
export interface Recorders {
  readonly rollups: RollupRecorder
  readonly exposures: ExposureRecorder
  readonly predictionLog: PredictionLog
  readonly bypass: Bypass
}

export interface RecorderOptions {
  readonly catalog: LiveCatalog
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  readonly logShares: LogShares
}

export function createRecorders(options: ServerOptions, { catalog, database, logShares }: RecorderOptions): Recorders {
  const { config, log, clock, metrics: registry } = options
  const failures = new Counter({
    name: 'lockstep_rollup_write_failures_total',
    help: 'Attempts to write minutes of the model statistics that failed. They are repeated every 10 s.',
    registers: [registry],
  })
  const { rollups = null } = config
  const counts = createRolloutCounts({ catalog: () => catalog.loaded, database, log })
  return {
    rollups: countRollouts(
      options.rollups ?? createRollups(database, rollups && { ...rollups, onFailure: () => failures.inc() }, log, clock),
      counts,
    ),
    exposures: createExposureRecorder(
      { database, metrics: (waiting) => createExposureMetrics(registry, waiting), log, clock },
      options.exposures,
    ),
    predictionLog: createPredictionLog(
      { database, metrics: (waiting) => createLogMetrics(registry, waiting), log, clock },
      { shares: logShares, retentionDays: config.logRetentionDays ?? 30, ...options.predictionLog },
    ),
    bypass: createBypass({ registry, log, now: () => performance.now(), onBegin: counts.bypassBegan }),
  }
}
