import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Shadow } from '../../registry/rollouts/shadow.ts'
import { readLastShadow } from '../../registry/rollouts/shadow.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ComparedPairs } from './compare-pairs.ts'
import { comparePairs } from './compare-pairs.ts'
import { readPairs } from './logged-pairs.ts'
import type { ShadowTraffic } from './shadow-traffic.ts'
import { readShadowTraffic } from './shadow-traffic.ts'

/** How a shadow compares with the versions that answered the same rows. */
export interface ShadowReport {
  readonly model: string
  /** The running shadow, or the last one; null: the model had none, and there is no `comparison`. */
  readonly shadow: (Omit<Shadow, 'startedAt' | 'endedAt'> & { readonly startedAt: string; readonly endedAt: string | null }) | null
  readonly comparison: ShadowComparison | null
}

export interface ShadowComparison extends ComparedPairs {
  /** RFC 3339. */
  readonly from: string
  readonly to: string
  /** Rows of the shadow in the prediction log. */
  readonly logged: number
  /** The newest of these, compared with the logged answer to the same row. */
  readonly pairs: number
  /** What servers measured; null: rollups are off, or no minute is complete yet. */
  readonly traffic: ShadowTraffic | null
  /** Notes, one sentence each. */
  readonly notes: readonly string[]
}

export interface ShadowReportOptions {
  readonly model: string
  /** Epoch microseconds. */
  readonly now: number
  /** How many pairs are compared at most. Default: 10,000. */
  readonly maxPairs?: number
}

/**
 * Compares the rows of a shadow with the answers to the same rows, from the prediction log.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export async function shadowReport(
  db: Database,
  catalog: Catalog,
  { model: name, now, maxPairs = 10_000 }: ShadowReportOptions,
): Promise<ShadowReport> {
  const model = catalog.model(name)
  const shadow = await readLastShadow(db.kysely, name)
  if (shadow === null) return { model: name, shadow: null, comparison: null }
  const { version, startedAt, endedAt } = shadow
  const from = startedAt.getTime() * 1000
  // what ran when it was stopped is logged seconds later
  const to = endedAt === null ? now + 1 : endedAt.getTime() * 1000 + 10_000_000
  const { logged, pairs } = await readPairs(db, { model: name, version, from, to, limit: maxPairs })
  const compared = comparePairs(pairs, model.spec.output, { tolerance: shadow.tolerance, threshold: model.operational.threshold })
  const traffic = await readShadowTraffic(db, { model: name, version, from, to })
  return {
    model: name,
    shadow: { ...shadow, startedAt: startedAt.toISOString(), endedAt: endedAt?.toISOString() ?? null },
    comparison: {
      from: formatTimestamp(from),
      to: formatTimestamp(to),
      logged,
      pairs: pairs.length,
      ...compared,
      traffic,
      notes: notesOf(logged, pairs.length, maxPairs, compared.entities, traffic),
    },
  }
}

function notesOf(logged: number, pairs: number, maxPairs: number, entities: number | null, traffic: ShadowTraffic | null): string[] {
  return [
    ...(logged > 0 ? [] : [whyNone(traffic)]),
    ...(traffic === null
      ? ['Times, failures and dropped requests are not known yet: servers write them down after each full minute.']
      : []),
    ...(logged > maxPairs ? [`Only the newest ${maxPairs} rows of the shadow are compared.`] : []),
    ...(pairs < Math.min(logged, maxPairs) ? ['The log lacks the answer to some rows of the shadow; they are not compared.'] : []),
    ...(entities !== null && pairs > entities
      ? [
          'Entities repeat. The intervals of shares and means allow for that if there are at least two entities; those of quantiles and features do not.',
        ]
      : []),
  ]
}

/** Why nothing can be compared. */
function whyNone(traffic: ShadowTraffic | null): string {
  if (traffic !== null && traffic.shadow.requests === 0 && Object.keys(traffic.errors).length > 0)
    return 'No row can be compared, because the shadow failed on each row that it ran. To see the error, ask POST /v1/predict for this version.'
  return 'No row of the shadow is logged. Rows are compared in the prediction log: set LOCKSTEP_LOG_PREDICTIONS, and wait for requests.'
}
