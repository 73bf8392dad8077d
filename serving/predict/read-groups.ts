import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { FeatureMoment } from '../features/online-reading.ts'
import type { FeatureRead } from '../features/read-features.ts'
import type { FeatureContext } from '../features/read-request.ts'
import { parseEntities, readFeaturesAt } from '../features/read-request.ts'
import type { ServedModel } from '../models/load-version.ts'
import { runEach } from './run-groups.ts'

/** Rows of a request that one version predicts. */
export interface ReadGroup {
  readonly model: Pick<ServedModel, 'service' | 'version'>
  /** Indexes of the rows in the request, ascending. */
  readonly rows: readonly number[]
}

interface ReadRequest {
  readonly entities: readonly unknown[]
  readonly caller: { readonly requestId: string }
}

/** Reads the features of all rows for one version. */
export function readAll(
  context: FeatureContext,
  catalog: Catalog,
  { entities, caller }: ReadRequest,
  { model: { service } }: ReadGroup,
  moment: FeatureMoment,
): Promise<FeatureRead> {
  return readFeaturesAt(context, catalog, service, parseEntities(service, entities), moment, caller.requestId)
}

/** Groups whose versions have the same feature service, which is read and evaluated once for all of them. */
interface SharedRead {
  readonly service: ServicePlan
  /** Indexes of the groups. */
  readonly groups: readonly number[]
  /** The rows of all groups, ascending. */
  readonly rows: readonly number[]
  readonly entities: readonly ServedEntity[]
}

/**
 * Reads the features of each of several groups, all at one moment.
 *
 * @param onFailed which groups failed; it is not called where one read for all of them failed
 * @returns by index of the groups
 */
export async function readGroups(
  context: FeatureContext,
  catalog: Catalog,
  request: ReadRequest,
  groups: readonly ReadGroup[],
  moment: FeatureMoment,
  onFailed: (group: number) => void,
): Promise<readonly FeatureRead[]> {
  const shared = sharedReads(request.entities, groups)
  const read = ({ service, entities, rows }: SharedRead, at: FeatureMoment) =>
    readFeaturesAt(context, catalog, service, entities, { ...at, rows }, request.caller.requestId)
  const reads = await runEach(
    shared,
    (each) => read(each, moment),
    (s) => {
      if (shared.length > 1) for (const g of (shared[s] as SharedRead).groups) onFailed(g)
    },
  )
  // a state that is ahead of this machine's clock moves the moment of its read: the other reads follow
  const asOf = Math.max(...reads.map((each) => each.asOf))
  const atOnce = await Promise.all(
    shared.map(async (each, s) => {
      const first = reads[s] as FeatureRead
      return first.asOf === asOf ? first : { ...(await read(each, { ...moment, asOf, asked: true })), skewed: true }
    }),
  )
  const parts = new Array<FeatureRead>(groups.length)
  for (const [s, { groups: own, rows }] of shared.entries())
    for (const g of own) parts[g] = partOf(atOnce[s] as FeatureRead, rows, (groups[g] as ReadGroup).rows)
  return parts
}

/** Versions may have been loaded under different catalogs, so the fingerprint says whether services are the same. */
function sharedReads(entities: readonly unknown[], groups: readonly ReadGroup[]): SharedRead[] {
  const byService = Map.groupBy(groups.keys(), (g) => (groups[g] as ReadGroup).model.version.serviceFingerprint)
  return Array.from(byService.values(), (own) => {
    const all = own.map((g) => groups[g] as ReadGroup)
    const [{ model, rows: only }] = all as [ReadGroup]
    const rows = all.length === 1 ? only : all.flatMap((group) => group.rows).toSorted((a, b) => a - b)
    return { service: model.service, groups: own, rows, entities: parseEntities(model.service, entities, rows) }
  })
}

/**
 * The part of a read that concerns some of its rows.
 *
 * @param all the rows of the read, ascending
 * @param rows some of them
 */
function partOf(read: FeatureRead, all: readonly number[], rows: readonly number[]): FeatureRead {
  if (rows.length === all.length) return read
  const at: number[] = []
  for (let i = 0; i < all.length && at.length < rows.length; i++) if (all[i] === rows[at.length]) at.push(i)
  const picked = <T>(values: readonly T[]): T[] => at.map((i) => values[i] as T)
  return { ...read, entities: picked(read.entities), rows: picked(read.rows), origins: () => picked(read.origins()) }
}
