import type { Database } from '../../runtime/database.ts'
import { RollupMerger } from '../rollups/merged-rollups.ts'
import { readParts } from '../rollups/read-parts.ts'
import { ageQuantile } from '../rollups/traffic-summary.ts'

/**
 * How old a view was when requests were answered from it: from the moment that an entity's newest stored row counts, to
 * the answer. Of a sample of answers; within 5 %.
 */
export interface ServedAge {
  readonly medianSeconds: number
  readonly p95Seconds: number
  /** Of the newest row in any of the answers. */
  readonly leastSeconds: number
  /** How many answers were looked at. */
  readonly answers: number
}

/**
 * By view, from the rollups of all servers. A view that no answer was looked at is not in it.
 *
 * @param window epoch microseconds, [from, to)
 */
export async function readServedAges(
  db: Pick<Database, 'query'>,
  window: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<string, ServedAge>> {
  const parts = await readParts(db, { model: '', ...window }, 'day')
  const ofProcesses = new RollupMerger()
  for await (const rows of parts.rows) for (const row of rows) ofProcesses.add(row)
  return new Map(
    Array.from(ofProcesses.traffic.ages, ([view, ages]) => [
      view,
      {
        medianSeconds: ageQuantile(ages, 0.5),
        p95Seconds: ageQuantile(ages, 0.95),
        leastSeconds: ageQuantile(ages, 0),
        answers: ages.count,
      },
    ]),
  )
}
