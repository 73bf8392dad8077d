import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { ExperimentEvidence } from './experiment-evidence.ts'
import type { VariantComparison, ExperimentResult } from './experiment-result.ts'

/** The newest result of a run, or that of a moment; null: it was not analyzed by then. */
export async function readLastResult(handle: Kysely<LockstepTables>, run: number, until?: Date): Promise<ExperimentResult | null> {
  let query = handle.selectFrom('lockstep.experiment_results').select('result').where('experiment_id', '=', String(run))
  if (until !== undefined) query = query.where('as_of', '<=', until)
  const row = await query.orderBy('as_of', 'desc').limit(1).executeTakeFirst()
  return row === undefined ? null : (row.result as ExperimentResult)
}

/** An earlier look at the primary metric. */
export interface ExperimentLook {
  /** RFC 3339. */
  readonly asOf: string
  readonly units: number
  readonly comparisons: readonly Pick<VariantComparison, 'variant' | 'difference' | 'p' | 'unadjusted'>[]
}

const maxLooks = 1000

/** When a run was analyzed, oldest first. */
export async function readAnalysisTimes(handle: Kysely<LockstepTables>, run: number): Promise<readonly Date[]> {
  const query = handle.selectFrom('lockstep.experiment_results').select('as_of').where('experiment_id', '=', String(run))
  return (await query.orderBy('as_of').execute()).map(({ as_of: at }) => at)
}

/** All looks at a run, or those until a moment, oldest first; of more than 1,000 the newest. */
export async function readLooks(handle: Kysely<LockstepTables>, run: number, until?: Date): Promise<readonly ExperimentLook[]> {
  let query = handle
    .selectFrom('lockstep.experiment_results')
    .select([sql<ExperimentResult['metrics'][number]>`result->'metrics'->0`.as('primary'), sql<string>`result->>'asOf'`.as('asOf')])
    .where('experiment_id', '=', String(run))
  if (until !== undefined) query = query.where('as_of', '<=', until)
  const rows = await query.orderBy('as_of', 'desc').limit(maxLooks).execute()
  return rows.toReversed().map(({ asOf, primary }) => ({
    asOf,
    units: primary.arms.reduce((sum, { units }) => sum + units, 0),
    comparisons: primary.comparisons.map(({ variant, difference, p, unadjusted }) => ({ variant, difference, p, unadjusted })),
  }))
}

/** How likely the split of the units was at a look, if it is the planned one. */
export interface SplitLook {
  readonly asOf: Date
  /** The least p of all looks until then; null: no unit was exposed yet. */
  readonly p: number | null
}

/** The split at all looks of a run, or at those until a moment, oldest first; of more than 1,000 the newest. */
export async function readSplits(handle: Kysely<LockstepTables>, run: number, until?: Date): Promise<readonly SplitLook[]> {
  const { rows } = await sql<SplitLook>`
    select as_of as "asOf", (
      select (health->>'value')::float8 from json_array_elements(result->'health') health where health->>'check' = 'sample ratio'
    ) as p
    from lockstep.experiment_results where experiment_id = ${String(run)} and as_of <= ${until ?? 'infinity'}::timestamptz
    order by as_of desc limit ${maxLooks}`.execute(handle)
  return rows.toReversed()
}

/** The units of each variant at the last look of a day. */
export interface DayOfUnits {
  /** When the day begins, epoch milliseconds. */
  readonly day: number
  readonly variants: ExperimentResult['variants']
}

/** By day, oldest first, all or those until a moment: of more than 400 the newest. */
export async function readUnitsByDay(handle: Kysely<LockstepTables>, run: number, until?: Date): Promise<readonly DayOfUnits[]> {
  const { rows } = await sql<DayOfUnits>`
    select extract(epoch from days.day)::float8 * 1000 as day, r.result->'variants' as variants
    from (
      select date_trunc('day', as_of at time zone 'utc') as day, max(as_of) as as_of
      from lockstep.experiment_results where experiment_id = ${String(run)} and as_of <= ${until ?? 'infinity'}::timestamptz group by 1 order by 1 desc limit 400
    ) days join lockstep.experiment_results r on r.experiment_id = ${String(run)} and r.as_of = days.as_of
    order by 1`.execute(handle)
  return rows
}

/**
 * Stores the result that `analyze` makes of the result before. Looks at one run follow each other, so that each narrows
 * the one before.
 *
 * @returns the newest result; an earlier or equal look changes nothing
 */
export async function storeResult(
  kysely: Kysely<LockstepTables>,
  run: number,
  evidence: ExperimentEvidence,
  analyze: (previous: ExperimentResult | null) => ExperimentResult,
): Promise<ExperimentResult> {
  return await kysely.transaction().execute(async (transaction) => {
    const locked = transaction.selectFrom('lockstep.experiments').select('exposures_deleted_at').where('id', '=', String(run)).forUpdate()
    const { exposures_deleted_at: deletedAt } = await locked.executeTakeFirstOrThrow()
    const previous = await readLastResult(transaction, run)
    // the analysis may have read a part of them
    if (previous !== null && deletedAt !== null) return previous
    if (previous !== null && Date.parse(previous.asOf) * 1000 >= evidence.asOf) return previous
    const result = analyze(previous)
    await transaction
      .updateTable('lockstep.experiment_results')
      .set({ evidence: null })
      .where('experiment_id', '=', String(run))
      .where('evidence', 'is not', null)
      .execute()
    await transaction
      .insertInto('lockstep.experiment_results')
      .values({
        experiment_id: String(run),
        as_of: new Date(evidence.asOf / 1000),
        result: JSON.stringify(result),
        evidence: JSON.stringify(evidence),
      })
      .execute()
    return result
  })
}
