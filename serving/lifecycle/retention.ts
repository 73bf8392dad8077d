import { messageOf } from '../../kernel/errors.ts'
import { forgetAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { forgetIdempotent } from '../traffic/idempotency.ts'

const everyMs = 3_600_000
const againMs = 60_000

/** What one server of a machine does now and then: it deletes what is kept for a time alone. */
export function createRetention(deps: { readonly database: () => Database; readonly auditRetentionDays: number; readonly log: Logger }): {
  forgetOld(): Promise<void>
  readonly delayMs: number
} {
  let delayMs = againMs
  return {
    async forgetOld() {
      try {
        const db = deps.database()
        await forgetIdempotent(db)
        const forgotten = await forgetAudit(db, deps.auditRetentionDays)
        if (forgotten > 0) deps.log.info({ records: forgotten }, 'old records of the audit log were deleted')
        delayMs = everyMs
      } catch (error) {
        delayMs = againMs
        deps.log.debug({ error: messageOf(error) }, 'old records were not deleted')
      }
    },
    get delayMs() {
      return delayMs
    },
  }
}
