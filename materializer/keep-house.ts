import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Database } from '../runtime/database.ts'
import { finishErasures, pendingErasures } from './erase/finish-erasures.ts'
import { hasRemovals, workOnRemovals } from './removals.ts'

const waitMs = 1_000

/** What is done now and then, by any number of processes: the keys of retired views are deleted, and what erasures have left undone is done. Cheap where there is nothing. */
export async function keepHouse(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  signal?: AbortSignal,
): Promise<void> {
  const stop = signal === undefined ? {} : { signal }
  if (await hasRemovals(db)) await workOnRemovals(db, store, { waitMs, ...stop })
  if ((await pendingErasures(db)) > 0) await finishErasures(db, store, catalog, { waitMs, moment: Date.now() * 1000, ...stop })
}
