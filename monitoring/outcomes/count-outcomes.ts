import { sqlMoment } from '../../runtime/postgres/sql.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import type { Snapshot } from '../../runtime/postgres/database.ts'
import { largeJoins } from '../../runtime/postgres/snapshot-bounds.ts'
import type { OutcomeQuery } from './outcome-row.ts'
import { joinedSql, matureBefore } from './outcome-sql.ts'

/** Counts of logged predictions of a window. Each is `mature` or `immature`; a mature one `matched` or `missing`. */
export interface OutcomeCounts {
  readonly predictions: number
  readonly mature: number
  readonly immature: number
  /** Mature, with a row that says what came of it. */
  readonly matched: number
  /** Mature, without such a row. */
  readonly missing: number
  /** How many of the missing have only rows that happened after `within`; null: rows are matched by entity. */
  readonly late: number | null
}

/** @throws LockstepError `SOURCE_MISSING` */
export async function countOutcomes(snapshot: Snapshot, query: OutcomeQuery): Promise<OutcomeCounts> {
  const { spec } = query.outcome
  const table = await readSourceTable(snapshot, spec.source)
  const mature = `p.as_of <= ${sqlMoment(matureBefore(spec.withinMicros, query.asOf))}`
  await snapshot.query(largeJoins)
  const [row] = await snapshot.query<{ predictions: number; mature: number; matched: number; late: number }>(
    `SELECT count(*)::float8 AS predictions, count(*) FILTER (WHERE ${mature})::float8 AS mature,
       count(*) FILTER (WHERE ${mature} AND NOT o.late)::float8 AS matched, count(*) FILTER (WHERE ${mature} AND o.late)::float8 AS late
     FROM ${joinedSql(table, query, true)}`,
  )
  const { predictions = 0, mature: ripe = 0, matched = 0, late = 0 } = row ?? {}
  return {
    predictions,
    mature: ripe,
    immature: predictions - ripe,
    matched,
    missing: ripe - matched,
    late: spec.match.kind === 'prediction' ? late : null,
  }
}
