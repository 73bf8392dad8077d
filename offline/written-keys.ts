import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { maxRanges } from '../kernel/states/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sourceRows } from './rows/source-stream.ts'
import { arrivalRange } from './rows/stream-sql.ts'

/**
 * The keys that have rows of these transactions in the view's source, including rows of the online store alone. For
 * very many transactions it may return keys with rows of others between them.
 */
export async function writtenKeys(
  db: Pick<Database, 'snapshot'>,
  plan: ViewPlan,
  keys: readonly EntityKey[],
  by: Frontier,
): Promise<ReadonlySet<EntityKey>> {
  const found = new Set<EntityKey>()
  const arrival = arrivalRange(by, maxRanges)
  if (arrival === null) return found
  await db.snapshot(async (snapshot) => {
    for await (const rows of sourceRows(snapshot, [plan], { keys, arrival, onlineOnly: true })) for (const { key } of rows) found.add(key)
  })
  return found
}
