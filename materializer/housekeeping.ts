import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Database } from '../runtime/database.ts'
import { forgetErased } from './erase/forget-erased.ts'
import { finishErasures, pendingErasures } from './erase/finish-erasures.ts'
import { pruneRuns } from './prune-runs.ts'
import { hasRemovals, workOnRemovals } from './removals.ts'

const waitMs = 1_000

export interface HouseOptions {
  /** `FailoverOptions.replayMs` */
  readonly replayMs?: number | undefined
  /** Whether to look through the records of runs for what may go, too. */
  readonly prune: boolean
  /** Epoch milliseconds. */
  readonly nowMs: number
  readonly signal?: AbortSignal
}

/**
 * What is done now and then, by any number of processes: the keys of retired views are deleted, what erasures have left undone is done, and records of runs that nobody asks for any
 * more go. Cheap where there is nothing, but for `prune`.
 */
export async function keepHouse(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  { replayMs, prune, nowMs, signal }: HouseOptions,
): Promise<void> {
  const stop = signal === undefined ? {} : { signal }
  if (await hasRemovals(db)) await workOnRemovals(db, store, { waitMs, ...stop })
  if ((await pendingErasures(db)) > 0) await finishErasures(db, store, catalog, { waitMs, moment: Date.now() * 1000, replayMs, ...stop })
  await forgetErased(db, store, { replayMs, nowMs })
  if (prune) await pruneRuns(db, store, { replayMs, nowMs })
}
