import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { createFeatureReader } from '../../serving/features/feature-reader.ts'
import { createLateViews } from '../../serving/features/late-views.ts'
import type { ReadCatalog } from '../../serving/features/read-catalog.ts'
import { createReadCatalogs } from '../../serving/features/read-catalog.ts'
import type { FeatureContext } from '../../serving/features/read-request.ts'
import type { Context } from '../context.ts'

/** What reads features in a command as a server reads them. */
export interface ReadingContext {
  readonly catalog: ReadCatalog
  readonly features: FeatureContext
  /** @throws LockstepError `REDIS_UNAVAILABLE` */
  readonly store: () => OnlineStore
}

/**
 * Opens the stores for reading features. Unlike a server, it asks the store at each read whether it holds the views. An
 * online store that is down fails only what reads it.
 *
 * @throws LockstepError `POSTGRES_UNAVAILABLE`
 */
export async function createReadingContext(context: Context, catalog: Catalog): Promise<ReadingContext> {
  const db = await context.database()
  const store = await openedStore(context)
  const needOnline = (): OnlineStore => {
    if (store instanceof LockstepError) throw store
    return store
  }
  const owner = createCheckpointOwner(() => db)
  const clock = (): number => Date.now() * 1000
  const direct = { run: <T>(work: () => Promise<T>): Promise<T> => work() }
  const { reader } = createFeatureReader({
    owner,
    needDatabase: () => db,
    needOnline,
    views: { holds: () => false, noteFailure: () => undefined },
    staleCache: null,
    late: createLateViews((view) => catalog.online.has(view), clock),
    traffic: { store: direct, history: direct },
    metrics: { read: () => undefined, onlineError: () => undefined },
    log: context.log,
    signal: context.signal,
  })
  const online: ViewPlan[] = [...catalog.online].flatMap((id) => catalog.views.get(id) ?? [])
  const lacks = store instanceof LockstepError ? [] : await findIncompleteViews({ ...store, owner }, online)
  const lacking = new Set(lacks.map(({ view }) => view))
  const complete = new Set(store instanceof LockstepError ? [] : online.map(({ id }) => id).filter((id) => !lacking.has(id)))
  return {
    catalog: createReadCatalogs(() => complete)(catalog),
    features: { reader, clock, defaultAsOf: null, onUnavailable: 'error', log: context.log },
    store: needOnline,
  }
}

async function openedStore(context: Context): Promise<OnlineStore | LockstepError> {
  try {
    return await context.store()
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE') return error
    throw error
  }
}
