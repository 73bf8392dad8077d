import { messageOf } from '../../kernel/errors.ts'
import { forgetAlerts } from '../../monitoring/alerts/forget-alerts.ts'
import type { PredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
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

export interface RetentionDeps {
  readonly stores: Pick<Stores, 'database'>
  readonly catalog: Pick<LiveCatalog, 'loaded'>
  readonly predictionLog: Pick<PredictionLog, 'dropOld'>
  readonly auditRetentionDays: number
  readonly uploads: Pick<Uploads, 'removeOld'>
  readonly log: Logger
}

/**
 * Deletes records that are kept for a limited time: every hour, and a minute after a failure. One server process of
 * each machine does it.
 */
export function startRetention({ stores, catalog, predictionLog, uploads, auditRetentionDays, log }: RetentionDeps): PollLoop[] {
  function hourly(what: string, task: (db: Database) => Promise<void>): PollLoop {
    let delayMs = afterFailureMs
    const run = async () => {
      delayMs = afterFailureMs
      const db = stores.database.available
      if (db === null || catalog.loaded === null) return
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
  ]
}
