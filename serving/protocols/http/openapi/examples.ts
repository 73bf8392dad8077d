import type { ServicePlan } from '../../../../kernel/service-plan.ts'
import type { Column, ColumnType } from '../../../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../../../kernel/view-plan.ts'
import type { SourceSpec } from '../../../../kernel/specs/view-spec.ts'
import { sqlTypeName } from '../../../../offline/rows/sql-type.ts'
import type { Catalog, CatalogModel } from '../../../../registry/catalog.ts'
import { championAlias } from '../../../../registry/models/model-aliases.ts'
import type { ModelVersion } from '../../../../registry/models/model-versions.ts'
import { sqlIdentifier, sqlText } from '../../../../runtime/postgres/sql.ts'
import { readJobs } from '../../../../runtime/jobs/read-jobs.ts'
import type { ExampleDeps, ExampleEntity } from '../../../find/example.ts'
import { exampleEntity, exampleRow, explainExample, featuresExample, predictExample } from '../../../find/example.ts'
import { exampleMoment, exampleValue } from '../../../find/example-value.ts'
import type { Datatype } from '../../oip/datatype.ts'
import { entityColumns } from '../../oip/entity-inputs.ts'
import type { Route } from '../route.ts'

/** Examples of requests to a server, from its registry. */
export interface Examples {
  /** An example of a route's body; undefined: the registry has no definition for one. */
  body(route: Pick<Route, 'method' | 'path'>): unknown
  /** An example of a parameter in a route's path or query. */
  parameter(route: Pick<Route, 'method' | 'path'>, name: string): string | undefined
}

/** Where no registry is at hand. */
export const noExamples: Examples = { body: () => undefined, parameter: () => undefined }

const monthEarlier = '2001-01-01T00:00:00Z'
/** How many models or services are tried, until one answers. */
const maxTried = 5

/**
 * Examples that the server of this registry answers: with names and columns that it has, and with an entity that has
 * rows, if there is one. A caller who may not read features does not see them.
 */
export async function examplesOf(deps: ExampleDeps): Promise<Examples> {
  const { catalog } = deps
  const { model, service, asked } = await askedOf(deps)
  const version = model === undefined ? undefined : answering(model)
  const views = [...catalog.views.values()]
  const view = service?.uses[0]?.plan ?? views.find(({ id }) => catalog.online.has(id)) ?? views[0]
  const sources = [...catalog.sources.values()]
  const isRead = ({ name }: SourceSpec): boolean => views.some(({ spec }) => spec.source.name === name)
  const source = sources.find((each) => catalog.acceptsEvents(each.name) && isRead(each)) ?? sources[0]
  const bodies: Record<string, unknown> = {}
  if (service !== undefined && asked !== null) {
    bodies['POST /v1/features'] = featuresExample(service.id, asked).body
    bodies['POST /v1/datasets'] = { service: service.id, spine: { sql: spineOf(entityColumns(service), asked) } }
    if (model !== undefined) {
      bodies['POST /v1/predict'] = predictExample(model.name, asked).body
      const inputs = entityColumns(service).map((column) => tensorOf(column, asked.entity[column.name]))
      for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
        if (inputs.length > 0) bodies[`POST ${path}/infer`] = { inputs }
      }
    }
  }
  if (version !== undefined) {
    bodies['POST /v1/models/:name/promote'] = { version: version.version, reason: 'better on June' }
    bodies['PUT /v1/models/:name/aliases/:alias'] = { version: version.version, reason: 'to be compared' }
  }
  if (view !== undefined) {
    const { name } = view.spec
    const key = keyOf(view, service?.uses[0]?.key, asked?.entity)
    bodies['POST /v1/explain'] = explainExample(view.id, key, asked?.asOf ?? null).body
    bodies['POST /v1/backfills'] = { view: view.id, from: monthEarlier, to: exampleMoment }
    const columns = Object.fromEntries(Object.entries(key).map(([part, value]) => [part, [value]]))
    bodies['POST /get-online-features'] = { features: view.features.map((feature) => `${name}:${feature.name}`), entities: columns }
    bodies['POST /materialize'] = { start_ts: monthEarlier, end_ts: exampleMoment, feature_views: [name] }
    bodies['POST /materialize-incremental'] = { end_ts: exampleMoment, feature_views: [name] }
  }
  if (source !== undefined) {
    const event = eventOf(source, catalog)
    bodies['POST /v1/sources/:name/events'] = { events: [event] }
    const df = Object.fromEntries(Object.entries(event).map(([name, value]) => [name, [value]]))
    bodies['POST /push'] = { push_source_name: source.name, df, to: 'online_and_offline' }
    const reader = views.find(({ spec }) => spec.source.name === source.name)
    if (reader !== undefined) bodies['POST /write-to-online-store'] = { feature_view_name: reader.spec.name, df }
  }
  const [job] = await readJobs(deps.db, { limit: 1 })
  const [dataset] = await deps.db.query<{ readonly id: string }>('select id from lockstep.datasets order by created_at desc limit 1')
  const names: Named = {
    model,
    view,
    source,
    service,
    entity: [...catalog.entities.keys()][0],
    job: job?.id.toString(),
    dataset: dataset?.id,
  }
  return {
    body: ({ method, path }) => bodies[`${method} ${path}`],
    // nothing is deleted by mistake
    parameter: ({ method, path }, name) => (method === 'DELETE' ? undefined : parameterOf(names, path, name)),
  }
}

interface Asked {
  readonly model: CatalogModel | undefined
  readonly service: ServicePlan | undefined
  /** null: there is no service. */
  readonly asked: ExampleEntity | null
}

/** A model and an entity of its service that are answered, if there are such; else a service and an entity. */
async function askedOf(deps: ExampleDeps): Promise<Asked> {
  const { catalog } = deps
  const models = [...catalog.models.values()].flatMap((model): Omit<Asked, 'asked'>[] => {
    const service = catalog.services.get(answering(model)?.service ?? model.spec.service)
    return model.versions.length === 0 || service === undefined ? [] : [{ model, service }]
  })
  const services = [...catalog.services.values()].toReversed().map((service) => ({ model: undefined, service }))
  let first: Asked | null = null
  for (const { model, service } of (models.length > 0 ? models : services).slice(0, maxTried)) {
    const asked = service === undefined ? null : await exampleEntity(deps, service)
    first ??= { model, service, asked }
    if (asked?.problem === null) return { model, service, asked }
  }
  return first ?? { model: undefined, service: undefined, asked: null }
}

/** @param columns where the entity has the parts of the view's key */
function keyOf(view: ViewPlan, columns: readonly string[] = [], entity: ExampleEntity['entity'] = {}): Record<string, unknown> {
  return Object.fromEntries(view.key.map(({ name, type }, i) => [name, entity[columns[i] ?? ''] ?? exampleValue(type)]))
}

interface Named {
  readonly model: CatalogModel | undefined
  readonly view: ViewPlan | undefined
  readonly source: SourceSpec | undefined
  readonly service: ServicePlan | undefined
  readonly entity: string | undefined
  readonly job: string | undefined
  readonly dataset: string | undefined
}

function parameterOf({ model, view, source, service, entity, job, dataset }: Named, path: string, name: string): string | undefined {
  const place = `${path.split('/', 3).join('/')} ${name}`
  switch (place) {
    case '/v1/entities name':
      return entity
    case '/v1/sources name':
      return source?.name
    case '/v1/views name':
      return view?.spec.name
    case '/v1/services name':
      return service?.name
    case '/v1/entries name':
      return service?.id
    case '/v1/lineage kind':
      return view === undefined ? undefined : 'view'
    case '/v1/lineage name':
      return view?.id
    case '/v1/search q':
      return view?.features[0]?.name
    case '/v1/datasets id':
      return dataset
    case '/v1/jobs id':
      return job
    case '/v1/models name':
    case '/v2/models model':
      return model?.name
    case '/v1/models version':
    case '/v2/models version':
      return model === undefined ? undefined : answering(model)?.version.toString()
    case '/v1/models alias':
      return 'candidate'
    default:
      return undefined
  }
}

/** The version that usually answers a request without a version. */
function answering({ versions, aliases, pin }: CatalogModel): ModelVersion | undefined {
  const champion = pin ?? aliases.get(championAlias)?.version
  return versions.find(({ version }) => version === champion) ?? versions.at(-1)
}

/** The types of a source's key columns are those of the entity of a view that reads it. */
function eventOf({ name, key, eventTime, known, columns }: SourceSpec, { views }: Catalog): Record<string, unknown> {
  const parts = [...views.values()].find(({ spec }) => spec.source.name === name)?.key ?? []
  const keys = key.map(({ part, column }) => [column, exampleValue(parts.find((each) => each.name === part)?.type ?? { kind: 'string' })])
  return {
    ...Object.fromEntries(keys),
    [eventTime]: exampleMoment,
    ...(known === null ? {} : { [known]: exampleMoment }),
    ...exampleRow(columns),
  }
}

/** A spine of one row, as a query. */
function spineOf(columns: readonly Column[], { entity, asOf }: ExampleEntity): string {
  const values = columns.map(({ name, type }) => {
    const value = entity[name]
    const text = Array.isArray(value) ? `{${value.join()}}` : String(value)
    return `${sqlText(text)}::${sqlTypeName(type)} as ${sqlIdentifier(name)}`
  })
  return `select ${[...values, `timestamptz ${sqlText(asOf ?? exampleMoment)} as event_timestamp`].join(', ')}`
}

/** A column of one entity as a tensor. */
function tensorOf({ name, type }: Column, value: unknown): object {
  return {
    name,
    shape: type.kind === 'vector' ? [1, type.length] : [1],
    datatype: datatypes[type.kind],
    data: type.kind === 'vector' ? value : [type.kind === 'int64' ? Number(value) : value],
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
