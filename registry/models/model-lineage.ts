import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Definition, DefinitionKey } from '../definition.ts'
import { definitionKey, labelOf, references, definitionsReached } from '../definition.ts'
import type { ModelVersion } from './model-versions.ts'

/** The origins of a model version, down to the tables. */
export interface ModelLineage {
  /** The training set that the push named; null: none. */
  readonly dataset: DatasetOrigin | null
  readonly service: DefinitionOrigin
  /** Every view that the service's features come from, through any number of on-demand views. */
  readonly views: readonly (DefinitionOrigin & { readonly entity: string; readonly source: string })[]
  readonly onDemand: readonly DefinitionOrigin[]
  readonly sources: readonly SourceOrigin[]
}

export interface DefinitionOrigin {
  /** `flight_features@1` */
  readonly id: string
  readonly fingerprint: string
  /** Whether it has been pruned since. */
  readonly retired: boolean
}

export interface SourceOrigin {
  readonly name: string
  /** The location of its rows, according to the views of this service. */
  readonly relation: SourceSpec['relation']
  readonly eventTime: string
  readonly known: string | null
}

export interface DatasetOrigin {
  readonly id: string
  /** The path to which it was written. null, like all fields below, if the registry no longer has it. */
  readonly path: string | null
  readonly createdAt: Date | null
  readonly service: string | null
  readonly fingerprint: string | null
  /** Whether it has the features of the very service that the version is served with. */
  readonly sameService: boolean | null
}

/** Reads the origins of a version from the registry, including definitions that have been pruned since. */
export async function readModelLineage(db: Database, version: ModelVersion): Promise<ModelLineage> {
  const found = await definitionsReached(db.kysely, [`service ${version.service}`])
  const definitions = new Map(found.map((definition) => [definitionKey(definition), definition]))
  const reached = reachedFrom(`service ${version.service}`, definitions)
  const views = reached.flatMap((definition) => (definition.kind === 'view' ? [definition] : []))
  const sources = new Map(views.map(({ spec: { source } }) => [source.name, source]))
  const service = definitions.get(`service ${version.service}`)
  return {
    dataset: version.dataset === null ? null : await datasetOrigin(db, version.dataset, version),
    service: { id: version.service, fingerprint: version.serviceFingerprint, retired: service?.retired ?? true },
    views: views.map((view) => ({ ...origin(view), entity: view.spec.entity.name, source: view.spec.source.name })),
    onDemand: reached.filter(({ kind }) => kind === 'onDemand').map(origin),
    sources: [...sources.values()].map(({ name, relation, eventTime, known }) => ({ name, relation, eventTime, known })),
  }
}

function origin(definition: Definition): DefinitionOrigin {
  return { id: labelOf(definition), fingerprint: definition.fingerprint, retired: definition.retired }
}

/** The definitions that a definition refers to, directly or indirectly, each once. */
function reachedFrom(start: DefinitionKey, definitions: ReadonlyMap<DefinitionKey, Definition>): Definition[] {
  const found = new Map<DefinitionKey, Definition>()
  const visit = (key: DefinitionKey): void => {
    const definition = definitions.get(key)
    if (definition === undefined || found.has(key)) return
    found.set(key, definition)
    for (const next of references(definition)) visit(next)
  }
  visit(start)
  return [...found.values()]
}

async function datasetOrigin(db: Database, id: string, version: ModelVersion): Promise<DatasetOrigin> {
  const row = await db.kysely
    .selectFrom('lockstep.datasets')
    .select(['id', 'service', 'fingerprint', 'path', 'created_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) return { id, path: null, createdAt: null, service: null, fingerprint: null, sameService: null }
  const { service, fingerprint, path, created_at } = row
  const sameService = service === version.service && fingerprint === version.serviceFingerprint
  return { id, path, createdAt: created_at, service, fingerprint, sameService }
}
