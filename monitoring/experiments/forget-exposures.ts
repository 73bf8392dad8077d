import { sql } from 'kysely'
import type { Database } from '../../runtime/postgres/database.ts'
import { isMaturingSql } from './experiments-job.ts'

type Handle = Pick<Database, 'kysely' | 'query'>

/** A statement deletes at most so many exposures, because others wait for its end: erasures, and a shutdown. */
const maxDeleted = 10_000

const deleteSql = `WITH deleted AS (
    DELETE FROM lockstep.exposures WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM lockstep.exposures WHERE experiment_id = $1 AND (unit, variant) > ($2, $3) ORDER BY unit, variant LIMIT ${maxDeleted}
    )) RETURNING unit, variant
  )
  SELECT count(*) OVER ()::int AS count, unit, variant FROM deleted ORDER BY unit DESC, variant DESC LIMIT 1`

export interface ForgetExposuresOptions {
  readonly retentionDays: number
  /** Stops between two statements. */
  readonly signal?: AbortSignal
  /** How many exposures of a run were deleted so far. */
  readonly onProgress?: (experiment: string, exposures: number) => void
}

/**
 * Deletes the exposures of runs that ended more than `retentionDays` ago, once all of their units are mature and were
 * analyzed. Of their results, the last one of each day and the one of the decision stay.
 *
 * Runs are marked first, so that nobody analyzes a part of their exposures. The next call continues what was stopped.
 *
 * @returns the number of deleted exposures
 */
export async function forgetExposures(db: Handle, { retentionDays, signal, onProgress }: ForgetExposuresOptions): Promise<number> {
  await sql`
    update lockstep.experiments e set exposures_deleted_at = now()
    where e.state <> 'running' and e.exposures_deleted_at is null and e.stopped_at < now() - make_interval(days => ${retentionDays}::int)
      and not ${sql.raw(isMaturingSql)}
      and exists (select from lockstep.experiment_results r where r.experiment_id = e.id and r.as_of >= e.stopped_at)`.execute(db.kysely)
  const runs = await db.query<{ id: string; name: string }>(
    `SELECT id::text AS id, name FROM lockstep.experiments e WHERE exposures_deleted_at IS NOT NULL AND (
       EXISTS (SELECT FROM lockstep.exposures x WHERE x.experiment_id = e.id)
       OR EXISTS (SELECT FROM lockstep.exposure_recorders r WHERE r.experiment_id = e.id)
     ) ORDER BY e.id`,
  )
  let total = 0
  for (const { id, name } of runs) {
    await thinResults(db, id)
    let deleted = 0
    for (let place = ['', '']; ;) {
      if (signal?.aborted === true) return total
      const [last] = await db.query<{ count: number; unit: string; variant: string }>(deleteSql, [id, ...place])
      if (last === undefined) break
      deleted += last.count
      total += last.count
      place = [last.unit, last.variant]
      onProgress?.(name, deleted)
    }
    await db.query('DELETE FROM lockstep.exposure_recorders WHERE experiment_id = $1', [id])
  }
  return total
}

/** Keeps the last result of each day, and the one that was the evidence of the decision. */
async function thinResults(db: Handle, run: string): Promise<void> {
  await db.query(
    `DELETE FROM lockstep.experiment_results r USING lockstep.experiments e
     WHERE r.experiment_id = $1 AND e.id = r.experiment_id AND r.id::text IS DISTINCT FROM e.decision->'evidence'->>'result'
       AND EXISTS (
         SELECT FROM lockstep.experiment_results later WHERE later.experiment_id = r.experiment_id AND later.as_of > r.as_of
           AND later.as_of < date_trunc('day', r.as_of, 'UTC') + interval '1 day'
       )`,
    [run],
  )
}
