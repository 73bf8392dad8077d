import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { OldestWriter } from '../../runtime/postgres/oldest-writer.ts'
import { oldestWriter } from '../../runtime/postgres/oldest-writer.ts'
import { orTimeout, timedOut } from '../../runtime/async.ts'
import { cacheFor } from '../../runtime/cache-for.ts'
import { materializationStatus } from '../../materializer/status.ts'
import type { ViewFreshness } from './view-freshness.ts'
import { viewFreshness } from './view-freshness.ts'

export interface Freshness {
  readonly views: readonly ViewFreshness[]
  readonly oldestWriter: OldestWriter | null
}

/**
 * How fresh all online views are.
 *
 * @param store null where it does not answer
 * @param now epoch microseconds
 */
async function readFreshness(db: Database, store: OnlineStore | null, catalog: Catalog, now: number): Promise<Freshness> {
  const plans = [...catalog.views.values()].filter(({ id }) => catalog.online.has(id))
  return { views: await readViews(db, store, plans, now), oldestWriter: await oldestWriter(db) }
}

/** How fresh these online views are. @param store null where it does not answer @param now epoch microseconds */
export async function readViews(
  db: Database,
  store: OnlineStore | null,
  plans: readonly ViewPlan[],
  now: number,
): Promise<ViewFreshness[]> {
  const identity = store === null ? null : await store.identity()
  const runs = (await materializationStatus(db, now / 1000)).filter((run) => identity === null || run.store === identity)
  return await viewFreshness(db, store, plans, runs, now)
}

/** How long an answer is given again. */
const keptMs = 2000
/** How long a read is waited for. */
const maxMs = 4000

/** The freshness of all online views now; null where it cannot be read in time. Rejects where the stores fail. */
export type FreshnessReader = () => Promise<Freshness | null>

/**
 * Reads the freshness of all online views again and again, as a process that exports metrics does.
 *
 * @param deps each is null while it is not open or loaded
 */
export function createFreshnessReader(deps: {
  readonly database: () => Database | null
  readonly store: () => OnlineStore | null
  readonly catalog: () => Promise<Catalog | null>
}): FreshnessReader {
  let kept: { readonly at: number; readonly freshness: Freshness | null } | null = null

  // a slow read goes on: no second one starts beside it
  const readNow = cacheFor(0, async () => {
    const [db, store] = [deps.database(), deps.store()]
    if (db === null || store === null) return null
    const catalog = await deps.catalog()
    return catalog === null ? null : await readFreshness(db, store, catalog, Date.now() * 1000)
  })

  return async () => {
    if (kept !== null && performance.now() - kept.at < keptMs) return kept.freshness
    const read = await orTimeout(readNow(), maxMs)
    const freshness = read === timedOut ? null : read
    kept = { at: performance.now(), freshness }
    return freshness
  }
}
