import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readViews } from '../freshness/freshness-reader.ts'
import type { ViewFreshness } from '../freshness/view-freshness.ts'

export interface FreshnessDeps {
  readonly db: Database
  readonly catalog: Pick<Catalog, 'views' | 'online'>
  /** @throws LockstepError where the store is unavailable */
  readonly store: () => OnlineStore | Promise<OnlineStore>
  /** Epoch microseconds. */
  readonly now: number
}

/** The freshness of these online views; none where the store is unavailable, because a report can do without. */
export async function servedFreshness(
  { db, catalog, store, now }: FreshnessDeps,
  views: ReadonlySet<string>,
): Promise<readonly ViewFreshness[]> {
  const plans = [...catalog.views.values()].filter(({ id }) => views.has(id) && catalog.online.has(id))
  try {
    return plans.length === 0 ? [] : await readViews(db, await store(), plans, now)
  } catch {
    return []
  }
}
