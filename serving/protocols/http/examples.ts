import type { Column, ColumnType, ValueType } from '../../../kernel/value-type.ts'
import type { SourceSpec } from '../../../kernel/view-spec.ts'
import type { Catalog, CatalogModel } from '../../../registry/catalog.ts'
import { championAlias } from '../../../registry/model-aliases.ts'
import type { ModelVersion } from '../../../registry/model-versions.ts'
import { exampleMoment, exampleValue } from '../../find/example-value.ts'
import type { Datatype } from '../oip/datatype.ts'
import { entityColumns } from '../oip/entity-inputs.ts'
import type { Route } from './route.ts'

/** What could be sent to a server of one registry. */
export interface Examples {
  /** Of a route's body; undefined: there is nothing in the registry to make one of. */
  body(route: Pick<Route, 'method' | 'path'>): unknown
  /** Of what stands in a route's path for a name. */
  parameter(route: Pick<Route, 'path'>, name: string): string | undefined
}

/** Where no registry is at hand. */
export const noExamples: Examples = { body: () => undefined, parameter: () => undefined }

const moment = exampleMoment
const monthEarlier = '2001-01-01T00:00:00Z'

/**
 * Examples that the server of this registry answers: with names and columns that it has. Their keys are made up, since
 * those of real entities are nobody's business here; of an entity that is not known a value has the status NOT_FOUND.
 */
export function examplesOf(catalog: Catalog): Examples {
  const model = [...catalog.models.values()].find(({ versions }) => versions.length > 0)
  const version = model === undefined ? undefined : answering(model)
  const service = (version === undefined ? undefined : catalog.services.get(version.service)) ?? [...catalog.services.values()].at(-1)
  const views = [...catalog.views.values()]
  const view = service?.uses[0]?.plan ?? views.find(({ id }) => catalog.online.has(id)) ?? views[0]
  const sources = [...catalog.sources.values()]
  const source = sources.find(({ name }) => catalog.acceptsEvents(name)) ?? sources[0]
  const entity = service === undefined ? undefined : rowOf(entityColumns(service))
  const bodies: Record<string, unknown> = {}
  if (service !== undefined) bodies['POST /v1/features'] = { service: service.name, entities: [entity], include: ['eventTimes'] }
  if (model !== undefined && service !== undefined) {
    bodies['POST /v1/predict'] = { model: model.name, entities: [entity] }
    const inputs = entityColumns(service).map(tensorOf)
    for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
      if (inputs.length > 0) bodies[`POST ${path}/infer`] = { inputs }
    }
  }
  if (version !== undefined) {
    bodies['POST /v1/models/:name/promote'] = { version: version.version, reason: 'better on June' }
    bodies['PUT /v1/models/:name/aliases/:alias'] = { version: version.version, reason: 'to be compared' }
  }
  if (view !== undefined) {
    const { name } = view.spec
    bodies['POST /v1/explain'] = { view: name, entity: rowOf(view.key) }
    bodies['POST /v1/backfills'] = { view: name, from: monthEarlier, to: moment }
    const columns = Object.fromEntries(view.key.map((column) => [column.name, [exampleValue(column.type)]]))
    bodies['POST /get-online-features'] = { features: view.features.map((feature) => `${name}:${feature.name}`), entities: columns }
    bodies['POST /materialize'] = { start_ts: monthEarlier, end_ts: moment, feature_views: [name] }
    bodies['POST /materialize-incremental'] = { end_ts: moment, feature_views: [name] }
  }
  if (source !== undefined) {
    const event = eventOf(source, catalog)
    bodies['POST /v1/sources/:name/events'] = { events: [event] }
    const df = Object.fromEntries(Object.entries(event).map(([name, value]) => [name, [value]]))
    bodies['POST /push'] = { push_source_name: source.name, df, to: 'online_and_offline' }
  }
  return {
    body: ({ method, path }) => bodies[`${method} ${path}`],
    parameter: ({ path }, name) => parameterOf({ model, source }, path, name),
  }
}

function parameterOf(
  { model, source }: { readonly model: CatalogModel | undefined; readonly source: SourceSpec | undefined },
  path: string,
  name: string,
): string | undefined {
  if (path.startsWith('/v1/sources/')) return source?.name
  if (!/^\/v[12]\/models\//.test(path)) return undefined
  if (name === 'version') return model === undefined ? undefined : answering(model)?.version.toString()
  return name === 'alias' ? 'candidate' : model?.name
}

/** As an entity object, or an event, has it. */
function rowOf(columns: readonly Column<ValueType>[]): Record<string, unknown> {
  return Object.fromEntries(columns.map(({ name, type }) => [name, exampleValue(type)]))
}

/** What answers a request that names no version, as a rule. */
function answering({ versions, aliases }: CatalogModel): ModelVersion | undefined {
  const champion = aliases.get(championAlias)?.version
  return versions.find(({ version }) => version === champion) ?? versions.at(-1)
}

/** The types of a source's key columns are those of the entity of a view that reads it. */
function eventOf({ name, key, eventTime, known, columns }: SourceSpec, { views }: Catalog): Record<string, unknown> {
  const parts = [...views.values()].find(({ spec }) => spec.source.name === name)?.key ?? []
  const keys = key.map(({ part, column }) => [column, exampleValue(parts.find((each) => each.name === part)?.type ?? { kind: 'string' })])
  return {
    ...Object.fromEntries(keys),
    [eventTime]: moment,
    ...(known === null ? {} : { [known]: moment }),
    ...rowOf(columns),
  }
}

/** A column of one entity as a tensor. */
function tensorOf({ name, type }: Column): object {
  const value = exampleValue(type)
  return {
    name,
    shape: type.kind === 'vector' ? [1, type.length] : [1],
    datatype: datatypes[type.kind],
    data: type.kind === 'vector' ? value : [value],
  }
}

const datatypes: Readonly<Record<ColumnType['kind'], Datatype>> = {
  bool: 'BOOL',
  int32: 'INT32',
  int64: 'INT64',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
  timestamp: 'BYTES',
  vector: 'FP32',
}
