import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { createSemaphore } from '../../runtime/async.ts'
import type { FeatureRead, FeatureReaderDeps } from '../features/read-features.ts'
import { readFeatures } from '../features/read-features.ts'
import { parseEntities } from '../features/read-request.ts'
import type { ShadowJob } from './shadow-job.ts'

type ShadowRead = Pick<FeatureRead, 'entities' | 'rows' | 'asOf' | 'degraded' | 'skewed' | 'evaluateMs' | 'origins'>

/**
 * Reads features of a shadow at the moment of the answer: those of the answer itself if the versions have the same
 * service, else by the shadow's own service. A shadow has at most one read of the history under way on a server.
 */
export function createShadowReads(
  reader: (catalog: Catalog) => FeatureReaderDeps,
): (catalog: Catalog, job: ShadowJob, service: ServicePlan) => Promise<ShadowRead> {
  const inTurn = createSemaphore({ permits: 1, queue: { max: 100, name: 'reads of the history for shadows' } })
  const readerOf = memoizeWeak((catalog: Catalog): FeatureReaderDeps => {
    // without what measures or remembers answers
    const { store, isOnline, written, history, views, onStoreError } = reader(catalog)
    return {
      store,
      isOnline,
      written,
      history: (requests, onSeen) => inTurn(() => history(requests, onSeen)),
      ...(views !== undefined && { views }),
      ...(onStoreError !== undefined && { onStoreError }),
    }
  })
  return async (catalog, { request, answered, taken }, service) => {
    const { model, read, rows } = answered
    if (isSame(model.service, service)) {
      const pick = <T>(all: readonly T[]): T[] => taken.map((i) => all[i] as T)
      const { asOf, degraded, skewed } = read
      const own = { entities: pick(read.entities), rows: pick(read.rows), origins: () => pick(read.origins()) }
      return { asOf, degraded, skewed, evaluateMs: 0, ...own }
    }
    const entities = parseEntities(
      service,
      taken.map((i) => request.entities[rows[i] as number]),
    )
    return await readFeatures(readerOf(catalog), service, entities, { asOf: read.asOf, asked: true })
  }
}

function isSame(one: ServicePlan, other: ServicePlan): boolean {
  return one.id === other.id && one.fingerprint === other.fingerprint
}
