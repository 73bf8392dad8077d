import { messageOf } from '../../kernel/errors.ts'
import { forgetAlerts } from '../../monitoring/alerts/forget-alerts.ts'
import { forgetExposures } from '../../monitoring/experiments/forget-exposures.ts'
import type { PredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
import { forgetCounts } from '../../monitoring/rollouts/forget-counts.ts'
import { startPollLoop } from '../../runtime/async.ts'
import type { PollLoop } from '../../runtime/async.ts'
import { forgetAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { LiveCatalog } from '../models/live-catalog.ts'
import type { Uploads } from '../uploads/uploads.ts'
import { forgetIdempotent } from '../traffic/idempotency.ts'
import type { Stores } from './stores.ts'

const everyMs = 3_600_000
const afterFailureMs = 60_000
const untilLoadedMs = 1_000
/** How often a long deletion is logged. */
const progressMs = 60_000

export interface RetentionDeps {
  readonly stores: Pick<Stores, 'database'>
  readonly catalog: Pick<LiveCatalog, 'loaded'>
  readonly predictionLog: Pick<PredictionLog, 'dropOld'>
  readonly auditRetentionDays: number
  readonly evidenceRetentionDays: number
  readonly uploads: Pick<Uploads, 'removeOld'>
  readonly log: Logger
  /** Stops long deletions. The next start continues them. */
  readonly signal: AbortSignal
}

/**
 * Deletes records that are kept for a limited time: once the registry is loaded, then every hour, and a minute after a
 * failure. One server process of each machine does it.
 */
export function startRetention(deps: RetentionDeps): PollLoop[] {
  const { stores, catalog, predictionLog, uploads, auditRetentionDays, evidenceRetentionDays: retentionDays, log, signal } = deps

  function hourly(what: string, task: (db: Database) => Promise<void>): PollLoop {
    let delayMs = untilLoadedMs
    const run = async () => {
      delayMs = untilLoadedMs
      const db = stores.database.available
      if (db === null || catalog.loaded === null) return
      delayMs = afterFailureMs
      try {
        await task(db)
        delayMs = everyMs
      } catch (error) {
        log.warn({ error: messageOf(error) }, `${what} could not be deleted`)
      }
    }
    return startPollLoop(run, () => delayMs)
  }

  return [
    hourly('old days of the prediction log', () => predictionLog.dropOld()),
    hourly('abandoned uploads', async () => {
      const removed = await uploads.removeOld(Date.now())
      if (removed > 0) log.info({ uploads: removed }, 'abandoned uploads were removed')
    }),
    hourly('old records of the audit log', async (db) => {
      await forgetIdempotent(db)
      const forgotten = await forgetAudit(db, auditRetentionDays)
      if (forgotten > 0) log.info({ records: forgotten }, 'old records of the audit log were deleted')
    }),
    hourly('old alerts', async (db) => {
      const forgotten = await forgetAlerts(db, auditRetentionDays)
      if (forgotten > 0) log.info({ alerts: forgotten }, 'old alerts were deleted')
    }),
    hourly('exposures of ended experiments', async (db) => {
      let loggedMs = performance.now()
      const onProgress = (experiment: string, exposures: number) => {
        if (performance.now() - loggedMs < progressMs) return
        loggedMs = performance.now()
        log.info({ experiment, exposures }, 'exposures of an ended experiment are being deleted')
      }
      const forgotten = await forgetExposures(db, { retentionDays, signal, onProgress })
      if (forgotten > 0) log.info({ exposures: forgotten }, 'exposures of ended experiments were deleted')
    }),
    hourly('counts of ended rollouts', async (db) => {
      const forgotten = await forgetCounts(db, retentionDays)
      if (forgotten > 0) log.info({ rollouts: forgotten }, 'counts of ended rollouts were deleted')
    }),
  ]
}
