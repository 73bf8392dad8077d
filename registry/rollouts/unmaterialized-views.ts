import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Catalog } from '../catalog.ts'
import type { ModelVersion } from '../models/model-versions.ts'

/** The online views that a version reads and that no run has materialized yet, into any store. Requests for it fail. */
export async function unmaterializedViews(
  handle: Kysely<LockstepTables>,
  catalog: Catalog,
  { service }: Pick<ModelVersion, 'service'>,
): Promise<string[]> {
  const views = catalog.services.get(service)?.uses.map(({ plan }) => plan.id) ?? []
  const online = [...new Set(views)].filter((view) => catalog.online.has(view)).toSorted()
  if (online.length === 0) return []
  const rows = await handle
    .selectFrom('lockstep.materialization_runs')
    .select('view')
    .distinct()
    .where('view', 'in', online)
    .where('finished_at', 'is not', null)
    .execute()
  return online.filter((view) => !rows.some((row) => row.view === view))
}
