import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { SampledRow } from '../../offline/datasets/training-profile.ts'
import { readCompressedRows } from '../../offline/datasets/training-profile.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/**
 * The sampled rows of a training set, as rows of a service.
 *
 * @param service whose features the rows get, by name
 * @returns empty: the set has no baseline, or lacks a feature of the service
 * @throws LockstepError `UNKNOWN_DEFINITION` if the set's own service was pruned
 */
export async function trainingRows(
  db: Database,
  catalog: Pick<Catalog, 'service'>,
  dataset: string,
  service: ServicePlan,
): Promise<readonly SampledRow[]> {
  const stored = await db.kysely
    .selectFrom('lockstep.baselines')
    .innerJoin('lockstep.datasets', 'lockstep.datasets.id', 'lockstep.baselines.dataset')
    .select(['lockstep.baselines.sample', 'lockstep.datasets.service'])
    .where('lockstep.datasets.id', '=', dataset)
    .executeTakeFirst()
  if (stored === undefined || stored.sample === null) return []
  const trained = stored.service === service.id ? service : catalog.service(stored.service)
  const rows = readCompressedRows(trained.features, stored.sample)
  if (trained === service) return rows
  const places = service.features.map(({ name, type }) =>
    trained.features.findIndex((feature) => feature.name === name && feature.type.kind === type.kind),
  )
  if (places.includes(-1)) return []
  return rows.map(({ entities, values }) => ({ entities, values: places.map((place) => values[place] ?? null) }))
}
