import type { Database } from '../../runtime/postgres/database.ts'

/** A statement deletes the counts of at most so many rollouts. */
const maxRollouts = 100

const deleteSql = `WITH ended AS (
    SELECT id FROM lockstep.rollouts r WHERE ended_at < now() - make_interval(days => $1)
      AND EXISTS (SELECT FROM lockstep.rollout_counts c WHERE c.rollout = r.id) LIMIT ${maxRollouts}
  ), deleted AS (DELETE FROM lockstep.rollout_counts WHERE rollout IN (SELECT id FROM ended))
  SELECT count(*)::int AS rollouts FROM ended`

/**
 * Deletes what servers counted in rollouts that ended more than `retentionDays` ago. Decisions keep the figures that
 * they were made from.
 *
 * @returns of how many rollouts
 */
export async function forgetCounts(db: Pick<Database, 'query'>, retentionDays: number): Promise<number> {
  for (let total = 0; ;) {
    const [deleted] = await db.query<{ rollouts: number }>(deleteSql, [retentionDays])
    const rollouts = deleted?.rollouts ?? 0
    total += rollouts
    if (rollouts < maxRollouts) return total
  }
}
