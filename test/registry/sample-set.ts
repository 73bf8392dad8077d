import { createHash } from 'node:crypto'
import type { ModelSpec, OnDemandSpec, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import type { EntitySpec, FeatureSpec, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { DefinitionSet, Described, ViewOperational } from '../../registry/load/definition-set.ts'

const hour = 3_600_000_000

export const airport: EntitySpec = { name: 'airport', key: [{ name: 'airport', type: { kind: 'string' } }] }

export const landings: SourceSpec = {
  name: 'landings',
  relation: { kind: 'table', table: 'flights' },
  key: [{ part: 'airport', column: 'origin' }],
  eventTime: 'date',
  known: 'landed_at',
  columns: [
    { name: 'delay', type: { kind: 'float64' } },
    { name: 'distance', type: { kind: 'int32' } },
  ],
}

export const weather: SourceSpec = {
  name: 'weather',
  relation: { kind: 'owned' },
  key: [{ part: 'airport', column: 'station' }],
  eventTime: 'at',
  known: 'reported_at',
  columns: [{ name: 'temperature', type: { kind: 'float64' } }],
}

export function windowFeature(name: string, aggregate: 'count' | 'mean', hours: number, fields: Partial<FeatureSpec> = {}): FeatureSpec {
  const base = { name, default: null, required: false, kind: 'window', windowMicros: hours * hour, hopMicros: hour / 12 } as const
  const shape =
    aggregate === 'count' ? ({ type: { kind: 'int32' }, column: null } as const) : ({ type: { kind: 'float64' }, column: 'delay' } as const)
  return { ...base, ...shape, aggregate, ...fields } as FeatureSpec
}

export interface SampleParts {
  readonly landings: SourceSpec
  readonly weather: SourceSpec
  readonly delays: Partial<ViewSpec>
  readonly delaysOperational: ViewOperational
  /** The text of the row transform of airport_delays. */
  readonly transform: string
  readonly context: Partial<OnDemandSpec>
  readonly service: Partial<ServiceSpec>
  readonly model: Partial<ModelSpec>
  readonly description: string | undefined
}

const contextCode = '({ request, asOf }) => ({ hour: Math.floor(asOf / 3600000000) % 24, far: request.distance })'

/**
 * The flights of the design's example: two sources, two views, an on-demand view, a service and a model; each part may
 * be exchanged.
 */
export function sampleSet(parts: Partial<SampleParts> = {}): DefinitionSet {
  const transform = parts.transform ?? '(row) => ({ late: row.delay === null ? null : row.delay > 15 ? 1 : 0 })'
  const sourceOfDelays = parts.landings ?? landings
  const sourceOfWeather = parts.weather ?? weather
  const delays: ViewSpec = {
    name: 'airport_delays',
    version: 1,
    entity: airport,
    source: sourceOfDelays,
    availability: { kind: 'continuous' },
    derive: [{ name: 'late', type: { kind: 'int32' } }],
    code: hash(transform),
    features: [
      windowFeature('landed1h', 'count', 1),
      windowFeature('meanDelay6h', 'mean', 6, { default: 0 }),
      {
        name: 'lastDelay',
        kind: 'latest',
        type: { kind: 'float64' },
        column: 'delay',
        ttlMicros: 48 * hour,
        default: null,
        required: false,
      },
    ],
    ...parts.delays,
  }
  const temperatures: ViewSpec = {
    name: 'airport_weather',
    version: 1,
    entity: airport,
    source: sourceOfWeather,
    availability: { kind: 'continuous' },
    derive: [],
    code: null,
    features: [
      {
        name: 'temperature',
        kind: 'latest',
        type: { kind: 'float64' },
        column: 'temperature',
        ttlMicros: null,
        default: null,
        required: false,
      },
    ],
  }
  const use = { view: definitionId(delays), alias: null, key: ['airport'] }
  const context: OnDemandSpec = {
    name: 'flight_context',
    version: 1,
    request: [{ name: 'distance', type: { kind: 'int32' } }],
    inputs: [{ name: 'origin', use }],
    features: [{ name: 'hour', type: { kind: 'int32' }, default: null, required: false }],
    code: hash(contextCode),
    ...parts.context,
  }
  const service: ServiceSpec = {
    name: 'flight_features',
    version: 1,
    members: [
      { kind: 'view', use, features: ['landed1h', 'meanDelay6h', 'lastDelay'] },
      { kind: 'onDemand', view: definitionId(context), features: ['hour'] },
    ],
    ...parts.service,
  }
  const model: ModelSpec = {
    name: 'delay',
    service: definitionId(service),
    output: [{ name: 'probability', type: { kind: 'float32' } }],
    ...parts.model,
  }
  const described: Described = parts.description === undefined ? {} : { description: parts.description }
  const viewPrints = new Map([delays, temperatures].map((view) => [definitionId(view), print(view)]))
  const contextPrint = print(context, viewPrints.get(use.view))
  const servicePrint = print(service, [viewPrints.get(use.view), contextPrint])
  return {
    file: 'features.ts',
    entities: [{ spec: airport, fingerprint: print(airport), operational: {} }],
    sources: [sourceOfDelays, sourceOfWeather].map((spec) => ({ spec, fingerprint: print(spec), operational: {} })),
    views: [
      { spec: delays, fingerprint: print(delays), operational: parts.delaysOperational ?? { online: true, ...described } },
      { spec: temperatures, fingerprint: print(temperatures), operational: { online: false } },
    ],
    onDemand: [{ spec: context, fingerprint: contextPrint, operational: {} }],
    services: [{ spec: service, fingerprint: servicePrint, operational: described }],
    models: [{ spec: model, fingerprint: print(model, servicePrint), operational: {} }],
    outcomes: [],
    channels: [],
    experiments: [],
    batches: [],
    pipelines: [],
    trainings: [],
    monitors: [],
    code: new Map([transform, contextCode].map((text) => [hash(text), text])),
  }
}

export const flightsTable = `
  create table flights (
    date timestamp not null, delay double precision, distance integer, origin text, landed_at timestamp,
    _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id()
  );
  insert into flights (date, delay, distance, origin, landed_at)
  select timestamp '2001-01-01' + n * interval '1 minute', n % 50, 100 + n, 'ATL', timestamp '2001-01-01' + n * interval '1 minute' + interval '1 hour'
  from generate_series(1, 100) n;
`

function print(spec: object, references?: unknown): string {
  return hash(JSON.stringify([spec, references]))
}

export function hash(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex')
}
