import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { OutcomeDetails } from '../../registry/find/outcome-details.ts'
import { outcomeDetails } from '../../registry/find/outcome-details.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { OutcomeCounts } from './count-outcomes.ts'
import { countOutcomes } from './count-outcomes.ts'

/** How many predictions of a window have an outcome; plain JSON. Times are RFC 3339. */
export interface OutcomeReport extends OutcomeDetails {
  readonly outcome: string
  /** Predictions from then on. */
  readonly from: string
  /** Predictions before. */
  readonly to: string
  /** What was known then. */
  readonly asOf: string
  /** The share of the model's predictions that are logged now, 0 to 1, as far as this process knows. */
  readonly logShare: number
  readonly counts: OutcomeCounts
}

export interface ReportWindow {
  /** Epoch microseconds. */
  readonly from: number
  readonly to: number
  readonly asOf: number
}

export async function outcomeReport(db: Database, outcome: OutcomePlan, window: ReportWindow, logShare: number): Promise<OutcomeReport> {
  const counts = await db.snapshot((snapshot) => countOutcomes(snapshot, { outcome, ...window }))
  return {
    outcome: outcome.spec.name,
    ...outcomeDetails(
      outcome.spec,
      Object.fromEntries(outcome.figures.map(({ name, column }) => [name, outcome.columns[column]?.name ?? ''])),
    ),
    from: formatTimestamp(window.from),
    to: formatTimestamp(window.to),
    asOf: formatTimestamp(window.asOf),
    logShare,
    counts,
  }
}
