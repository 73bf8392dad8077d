import { createHash } from 'node:crypto'
import type { ModelSpec, OnDemandSpec, ServiceMember, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import type { ValueType } from '../../kernel/values/value-type.ts'
import type { Availability, EntitySpec, FeatureSpec, JsonValue, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'

export const hour = 3_600_000_000

const airport: EntitySpec = { name: 'airport', key: [{ name: 'airport', type: { kind: 'string' } }] }
const account: EntitySpec = { name: 'account', key: [{ name: 'id', type: { kind: 'int64' } }] }

const landings: SourceSpec = {
  name: 'landings',
  relation: { kind: 'owned' },
  key: [{ part: 'airport', column: 'airport' }],
  eventTime: 'at',
  known: null,
  columns: [
    { name: 'delay', type: { kind: 'float64' } },
    { name: 'amount', type: { kind: 'float32' } },
    { name: 'count', type: { kind: 'int64' } },
    { name: 'city', type: { kind: 'string' } },
    { name: 'open', type: { kind: 'bool' } },
    { name: 'vec', type: { kind: 'vector', length: 2 } },
  ],
}

const balances: SourceSpec = {
  name: 'balances',
  relation: { kind: 'owned' },
  key: [{ part: 'id', column: 'account' }],
  eventTime: 'at',
  known: null,
  columns: [
    { name: 'balance', type: { kind: 'int64' } },
    { name: 'seen', type: { kind: 'timestamp' } },
  ],
}

function latest(
  column: string,
  type: ValueType,
  fields: { name?: string; default?: JsonValue; required?: boolean; ttlMicros?: number } = {},
): FeatureSpec {
  return { name: column, default: null, required: false, ttlMicros: null, ...fields, kind: 'latest', column, type }
}

const continuous: Availability = { kind: 'continuous' }

const delays: ViewSpec = {
  name: 'airport_delays',
  version: 1,
  entity: airport,
  source: landings,
  availability: continuous,
  derive: [],
  code: null,
  features: [
    latest('delay', { kind: 'float64' }, { name: 'lastDelay', ttlMicros: 48 * hour }),
    {
      name: 'landed1h',
      kind: 'window',
      aggregate: 'count',
      column: null,
      type: { kind: 'int32' },
      windowMicros: hour,
      hopMicros: hour / 12,
      default: null,
      required: false,
    },
  ],
}
const typed: ViewSpec = {
  ...delays,
  name: 'airport_typed',
  features: [
    latest('amount', { kind: 'float32' }),
    latest('count', { kind: 'int64' }, { default: '0' }),
    latest('city', { kind: 'string' }, { default: 'nowhere' }),
    latest('open', { kind: 'bool' }, { default: false }),
    latest('vec', { kind: 'vector', length: 2 }),
  ],
}
const offline: ViewSpec = { ...delays, name: 'airport_offline', features: [latest('delay', { kind: 'float64' }, { name: 'offlineDelay' })] }
const required: ViewSpec = {
  ...delays,
  name: 'airport_required',
  features: [latest('delay', { kind: 'float64' }, { name: 'neededDelay', required: true })],
}
const accounts: ViewSpec = {
  ...delays,
  name: 'account_balance',
  entity: account,
  source: balances,
  features: [latest('balance', { kind: 'int64' }), latest('seen', { kind: 'timestamp' })],
}

const contextCode =
  '({ request, origin, asOf }) => ({ pressure: origin.lastDelay === null ? null : origin.lastDelay / request.distance, micros: asOf })'
const context: OnDemandSpec = {
  name: 'flight_context',
  version: 1,
  request: [{ name: 'distance', type: { kind: 'float64' } }],
  inputs: [{ name: 'origin', use: useOf(delays) }],
  features: [
    { name: 'pressure', type: { kind: 'float64' }, default: null, required: false },
    { name: 'micros', type: { kind: 'timestamp' }, default: null, required: false },
  ],
  code: hash(contextCode),
}

const notesCode =
  '({ request }) => { if (request.note === "") throw new Error("there is no note"); while (request.note === "for ever"); /^(a+)+$/.test(request.note); return { initial: request.note.slice(0, 1) } }'
const notes: OnDemandSpec = {
  name: 'notes',
  version: 1,
  request: [{ name: 'note', type: { kind: 'string' } }],
  inputs: [],
  features: [{ name: 'initial', type: { kind: 'string' }, default: null, required: false }],
  code: hash(notesCode),
}

function useOf(view: ViewSpec, alias: string | null = null, key = view.entity.key.map((part) => part.name)) {
  return { view: definitionId(view), alias, key }
}
function member(view: ViewSpec, alias?: string, key?: string[]): ServiceMember {
  return { kind: 'view', use: useOf(view, alias ?? null, key), features: view.features.map((feature) => feature.name) }
}
function service(name: string, members: readonly ServiceMember[]): ServiceSpec {
  return { name, version: 1, members }
}

const services = [
  service('flight', [member(delays), { kind: 'onDemand', view: definitionId(context), features: ['pressure'] }]),
  service('moment', [{ kind: 'onDemand', view: definitionId(context), features: ['micros'] }, member(delays)]),
  service('route', [member(delays), member(delays, 'destination', ['destination'])]),
  service('typed', [member(typed)]),
  service('history', [member(offline), member(delays)]),
  service('strict', [member(required)]),
  service('noted', [member(delays), { kind: 'onDemand', view: definitionId(notes), features: ['initial'] }]),
  service('accounts', [member(accounts)]),
]
const models: ModelSpec[] = [
  { name: 'delay', service: 'flight@1', output: [{ name: 'probabilities', type: { kind: 'float32' } }] },
  {
    name: 'classes',
    service: 'flight@1',
    output: [
      { name: 'label', type: { kind: 'int64' } },
      { name: 'probabilities', type: { kind: 'vector', length: 2 } },
    ],
  },
  { name: 'echo', service: 'flight@1', output: [{ name: 'out', type: { kind: 'vector', length: 3 } }] },
  {
    name: 'typed',
    service: 'typed@1',
    output: [
      { name: 'amount_out', type: { kind: 'float32' } },
      { name: 'count_out', type: { kind: 'int64' } },
      { name: 'city_out', type: { kind: 'string' } },
      { name: 'open_out', type: { kind: 'bool' } },
      { name: 'vec_out', type: { kind: 'vector', length: 2 } },
    ],
  },
  { name: 'strict', service: 'strict@1', output: [{ name: 'out', type: { kind: 'float32' } }] },
]

/**
 * Airports and accounts: every value type, aliases, an on-demand view, a view that is not online, a required feature.
 */
export const servingSet: DefinitionSet = {
  file: 'features.ts',
  entities: [airport, account].map(declared),
  sources: [landings, balances].map(declared),
  views: [delays, typed, offline, required, accounts].map((view) => ({ ...declared(view), operational: { online: view !== offline } })),
  onDemand: [context, notes].map(declared),
  services: services.map(declared),
  models: models.map(declared),
  outcomes: [],
  channels: [],
  experiments: [],
  batches: [],
  pipelines: [],
  trainings: [],
  monitors: [],
  code: new Map([contextCode, notesCode].map((code) => [hash(code), code])),
}

/** Definitions whose model "echo" has so long for a run. */
export function withRunTimeout(set: DefinitionSet, timeoutMicros: number): DefinitionSet {
  const models = set.models.map((each) => (each.spec.name === 'echo' ? { ...each, operational: { timeoutMicros } } : each))
  return { ...set, models }
}

/** The same with `airport_delays@2`, which counts two hours, and the `flight@2` and `flight_context@2` that read it. */
export function nextServingSet(): DefinitionSet {
  const [last, landed] = delays.features as [FeatureSpec, FeatureSpec & { readonly kind: 'window' }]
  const view: ViewSpec = { ...delays, version: 2, features: [last, { ...landed, name: 'landed2h', windowMicros: 2 * hour }] }
  const onDemand: OnDemandSpec = { ...context, version: 2, inputs: [{ name: 'origin', use: useOf(view) }] }
  const next: ServiceSpec = { ...service('flight', [member(view)]), version: 2 }
  return {
    ...servingSet,
    views: [...servingSet.views, { ...declared(view), operational: { online: true } }],
    onDemand: [...servingSet.onDemand, declared(onDemand)],
    services: [...servingSet.services, declared(next)],
  }
}

export function declared<Spec extends object>(spec: Spec) {
  return { spec, fingerprint: hash(JSON.stringify(spec)), operational: {} }
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
