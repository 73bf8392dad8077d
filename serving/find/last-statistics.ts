import type { ColumnStatistics } from '../../offline/profile/column-statistics.ts'
import type { NumberStatistics } from '../../offline/profile/number-statistics.ts'
import type { Definition } from '../../registry/definition.ts'
import { definitionKey, labelOf, references } from '../../registry/definition.ts'
import { serviceFeatures } from '../../registry/find/definition-details.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** The statistics of a feature in the newest training set that has it. */
export interface FeatureStatistics extends Omit<ColumnStatistics, 'column' | 'numbers'> {
  /** The id of the training set. */
  readonly dataset: string
  /** RFC 3339 */
  readonly createdAt: string
  /** The share of its rows without a value. */
  readonly nullShare: number
  readonly numbers?: Omit<NumberStatistics, 'histogram'>
}

/** Older training sets are not asked for features that newer ones lack. */
const maxSets = 8

/**
 * The statistics of the features of a view, on-demand view or service, by the name that it has there. Only training
 * sets of the very definitions in the registry count.
 */
export async function lastStatistics(
  db: Database,
  inventory: Inventory,
  definition: Definition,
): Promise<ReadonlyMap<string, FeatureStatistics>> {
  const label = labelOf(definition)
  const named = new Map<string, ReadonlyMap<string, string>>()
  for (const service of inventory.definitions) {
    if (service.kind !== 'service') continue
    const isOwn = definition.kind === 'service'
    if (isOwn ? labelOf(service) !== label : !references(service).includes(definitionKey(definition))) continue
    const own = serviceFeatures(inventory, service).filter(({ view }) => isOwn || view === label)
    if (own.length > 0)
      named.set(
        `${labelOf(service)} ${service.fingerprint}`,
        new Map(own.map((each) => [each.name, isOwn ? each.name : (each.feature ?? '')])),
      )
  }
  const newest = new Map<string, string>()
  for (const { id, service, fingerprint } of inventory.datasets) {
    const key = `${service} ${fingerprint}`
    if (named.has(key) && !newest.has(key) && newest.size < maxSets) newest.set(key, id)
  }
  const found = new Map<string, FeatureStatistics>()
  if (newest.size === 0) return found
  const manifests = new Map((await readStatistics(db, [...newest.values()])).map((each) => [each.id, each]))
  // the training sets are newest first
  for (const [key, id] of newest) {
    const manifest = manifests.get(id)
    for (const statistics of manifest?.statistics ?? []) {
      const name = named.get(key)?.get(statistics.column)
      if (manifest === undefined || name === undefined || found.has(name)) continue
      found.set(name, featureStatistics(manifest, statistics))
    }
  }
  return found
}

interface StoredStatistics {
  readonly id: string
  readonly created_at: Date
  readonly statistics: readonly ColumnStatistics[] | null
}

/** Reads only the needed parts of the manifests, because manifests can be large. */
async function readStatistics(db: Database, ids: readonly string[]): Promise<StoredStatistics[]> {
  return await db.query<StoredStatistics>(
    // those of numbered parts stand in the manifest, others in its first file: `statisticsOf`
    `select id, created_at, case when json_typeof(manifest->'statistics') = 'array' then manifest->'statistics'
        else manifest->'file'->'statistics' end as statistics
     from lockstep.datasets where id = any($1)`,
    [ids],
  )
}

function featureStatistics({ id, created_at }: StoredStatistics, statistics: ColumnStatistics): FeatureStatistics {
  const { column: _, numbers, ...rest } = statistics
  const rows = rest.count + rest.nulls
  const share = rows === 0 ? 0 : rest.nulls / rows
  const common = { dataset: id, createdAt: created_at.toISOString(), nullShare: share, ...rest }
  if (numbers === undefined) return common
  const { histogram: __, ...shown } = numbers
  return { ...common, numbers: shown }
}
