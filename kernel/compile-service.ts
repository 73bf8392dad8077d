import { LockstepError, messageOf } from './errors.ts'
import type { ServiceFeature, ServicePlan, ViewUse } from './service-plan.ts'
import type { OnDemandSpec, ServiceSpec, ViewUseSpec } from './service-spec.ts'
import type { ViewValues } from './state.ts'
import { Status } from './state.ts'
import { formatTimestamp } from './time.ts'
import { loadTransform } from './transform.ts'
import { valueFromJson } from './value-json.ts'
import type { Column, KeyType, Value, ValueType } from './value-type.ts'
import { checkValue, sameType, show, typeName } from './value-type.ts'
import type { ViewPlan } from './view-plan.ts'
import type { DefinitionId } from './view-spec.ts'
import { definitionId } from './view-spec.ts'

export interface ServiceParts {
  readonly spec: ServiceSpec
  readonly fingerprint: string
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  readonly onDemand: ReadonlyMap<DefinitionId, { readonly spec: OnDemandSpec; readonly code: string }>
}

/**
 * Compiles a stored feature service.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `UNKNOWN_FEATURE`, `FEATURE_NAME_CLASH`, `INVALID_TYPE`, each naming the service and the offender
 */
export function compileService({ spec, fingerprint, views, onDemand }: ServiceParts): ServicePlan {
  const id = definitionId(spec)
  const uses = new Uses(id, views)
  const request = new NamedColumns<ValueType>(id, 'The request value')
  const computed: OnDemandUse[] = []
  const features: (ServiceFeature & FeatureSite)[] = []

  const addFeature = (feature: ServiceFeature & FeatureSite): void => {
    const other = features.find((f) => f.name === feature.name)
    if (other !== undefined) {
      throw new LockstepError(
        'FEATURE_NAME_CLASH',
        `The service "${id}" has two features called "${feature.name}", from "${other.view}" and from "${feature.view}"; use one of the views under an alias: view.as('name', …).`,
      )
    }
    features.push(feature)
  }

  for (const member of spec.members) {
    if (member.kind === 'view') {
      const use = uses.index(member.use)
      const { plan } = uses.list[use] as ViewUse
      for (const name of member.features) {
        const feature = plan.features.findIndex((f) => f.name === name)
        const known = plan.features[feature]
        const declared = plan.spec.features[feature]
        if (known === undefined || declared === undefined) throw unknownFeature(id, plan.id, name)
        const nullable = !(known.required || declared.default !== null || (declared.kind === 'window' && declared.aggregate === 'count'))
        const fullName = member.use.alias === null ? name : `${member.use.alias}__${name}`
        addFeature({
          name: fullName,
          type: known.type,
          required: known.required,
          view: plan.id,
          nullable,
          site: 'use',
          source: use,
          feature,
        })
      }
      continue
    }
    const found = onDemand.get(member.view)
    if (found === undefined)
      throw new LockstepError(
        'UNKNOWN_DEFINITION',
        `The service "${id}" uses the on-demand view "${member.view}", which is not there; apply it first.`,
      )
    let index = computed.findIndex((c) => c.view === member.view)
    if (index < 0) {
      for (const column of found.spec.request) request.add(column)
      const inputs = found.spec.inputs.map((input) => ({ name: input.name, use: uses.index(input.use) }))
      index = computed.push(new OnDemandUse(member.view, found.spec, found.code, inputs)) - 1
    }
    for (const name of member.features) {
      const feature = found.spec.features.findIndex((f) => f.name === name)
      const declared = found.spec.features[feature]
      if (declared === undefined) throw unknownFeature(id, member.view, name)
      const nullable = !(declared.required || declared.default !== null)
      addFeature({
        name,
        type: declared.type,
        required: declared.required,
        view: member.view,
        nullable,
        site: 'onDemand',
        source: index,
        feature,
      })
    }
  }

  const keys = uses.keys.list
  for (const column of request.list) {
    const key = keys.find((k) => k.name === column.name)
    if (key !== undefined && !sameType(key.type, column.type)) {
      throw new LockstepError(
        'INVALID_TYPE',
        `The service "${id}" needs "${column.name}" as ${typeName(key.type)} for a key and as ${typeName(column.type)} for a request value; rename one.`,
      )
    }
  }
  for (const feature of features) {
    if (keys.some((k) => k.name === feature.name) || request.list.some((r) => r.name === feature.name)) {
      throw new LockstepError(
        'FEATURE_NAME_CLASH',
        `The service "${id}" has a feature "${feature.name}" (from "${feature.view}") and a key or request value of the same name, which would be one column of a training set; rename the feature.`,
      )
    }
  }
  for (const c of computed) c.bind(uses.list, request.list)

  return {
    id,
    name: spec.name,
    version: spec.version,
    fingerprint,
    uses: uses.list,
    keys,
    request: request.list,
    features: features.map(({ name, type, required, view, nullable }) => ({ name, type, required, view, nullable })),
    evaluate(read, requestValues, asOf) {
      const onDemandValues = computed.map((c) => c.compute(read, requestValues, asOf))
      const values: (Value | null)[] = []
      const statuses: Status[] = []
      const eventTimes: (number | null)[] = []
      for (const { site, source, feature } of features) {
        if (site === 'use') {
          const view = read[source] as ViewValues
          values.push(view.values[feature] ?? null)
          statuses.push(view.statuses[feature] as Status)
          eventTimes.push(view.eventTime)
        } else {
          const { value, status } = (onDemandValues[source] as readonly Computed[])[feature] as Computed
          values.push(value)
          statuses.push(status)
          eventTimes.push(null)
        }
      }
      return { values, statuses, eventTimes }
    },
  }
}

interface FeatureSite {
  readonly site: 'use' | 'onDemand'
  /** Index of the use or of the on-demand view. */
  readonly source: number
  /** Index of the feature in it. */
  readonly feature: number
}

interface Computed {
  readonly value: Value | null
  readonly status: Status
}

class OnDemandUse {
  readonly view: DefinitionId
  readonly #spec: OnDemandSpec
  readonly #transform: (input: Record<string, unknown>) => unknown
  readonly #defaults: readonly (Value | null)[]
  readonly #inputs: readonly { readonly name: string; readonly use: number }[]
  #uses: readonly ViewUse[] = []
  /** For each of the on-demand view's request columns, its index in the service's. */
  #request: readonly number[] = []

  constructor(view: DefinitionId, spec: OnDemandSpec, code: string, inputs: readonly { readonly name: string; readonly use: number }[]) {
    this.view = view
    this.#spec = spec
    this.#inputs = inputs
    this.#transform = loadTransform(code, view) as (input: Record<string, unknown>) => unknown
    this.#defaults = spec.features.map((f) => valueFromJson(f.type, f.default, `The default of "${f.name}" of "${view}"`))
  }

  bind(uses: readonly ViewUse[], request: readonly Column[]): void {
    this.#uses = uses
    this.#request = this.#spec.request.map((column) => request.findIndex((r) => r.name === column.name))
  }

  compute(read: readonly ViewValues[], request: readonly Value[], asOf: number): readonly Computed[] {
    const input: Record<string, unknown> = { asOf }
    const requested: Record<string, Value> = {}
    for (const [i, column] of this.#spec.request.entries()) requested[column.name] = ownCopy(request[this.#request[i] as number] as Value)
    input['request'] = requested
    for (const { name, use } of this.#inputs) {
      const { plan } = this.#uses[use] as ViewUse
      const view = read[use] as ViewValues
      const values: Record<string, Value | null> = {}
      for (let i = 0; i < plan.features.length; i++) values[(plan.features[i] as { name: string }).name] = ownCopy(view.values[i] ?? null)
      input[name] = values
    }
    let output: unknown
    try {
      output = this.#transform(input)
    } catch (cause) {
      throw this.#failed(asOf, messageOf(cause), cause)
    }
    if (typeof output !== 'object' || output === null) throw this.#failed(asOf, `it returned ${show(output)}, not an object`)
    return this.#spec.features.map(({ name, type }, i) => {
      const value: unknown = (output as Record<string, unknown>)[name]
      if (value === undefined) throw this.#failed(asOf, `it returned no "${name}"`)
      if (value === null) return { value: this.#defaults[i] ?? null, status: Status.nullValue }
      try {
        return { value: checkValue(type, value, `"${name}"`), status: Status.present }
      } catch (cause) {
        throw this.#failed(asOf, messageOf(cause).replace(/\.$/, ''), cause)
      }
    })
  }

  #failed(asOf: number, why: string, cause?: unknown): LockstepError {
    return new LockstepError(
      'TRANSFORM_FAILED',
      `The transform of "${this.view}" failed for the moment ${formatTimestamp(asOf)}: ${why}. Correct it under a new version.`,
      { cause },
    )
  }
}

/** Vectors are the only values that user code could write to. */
function ownCopy<V extends Value | null>(value: V): V {
  return value instanceof Float32Array ? (value.slice() as V) : value
}

/** The distinct (view, key columns) pairs that a service reads. */
class Uses {
  readonly list: ViewUse[] = []
  readonly keys: NamedColumns<KeyType>
  readonly #service: DefinitionId
  readonly #views: ReadonlyMap<DefinitionId, ViewPlan>

  constructor(service: DefinitionId, views: ReadonlyMap<DefinitionId, ViewPlan>) {
    this.#service = service
    this.#views = views
    this.keys = new NamedColumns(service, 'The key')
  }

  index(use: ViewUseSpec): number {
    const known = this.list.findIndex((u) => u.plan.id === use.view && u.key.join('\0') === use.key.join('\0'))
    if (known >= 0) return known
    const plan = this.#views.get(use.view)
    if (plan === undefined)
      throw new LockstepError(
        'UNKNOWN_DEFINITION',
        `The service "${this.#service}" uses the view "${use.view}", which is not there; apply it first.`,
      )
    for (const [i, part] of plan.key.entries()) this.keys.add({ name: use.key[i] ?? part.name, type: part.type })
    return this.list.push({ plan, alias: use.alias, key: use.key }) - 1
  }
}

/** Columns by name, each of one type. */
class NamedColumns<V extends ValueType> {
  readonly list: Column<V>[] = []
  readonly #service: DefinitionId
  readonly #what: string

  constructor(service: DefinitionId, what: string) {
    this.#service = service
    this.#what = what
  }

  add(column: Column<V>): void {
    const known = this.list.find((c) => c.name === column.name)
    if (known === undefined) {
      this.list.push(column)
    } else if (!sameType(known.type, column.type)) {
      throw new LockstepError(
        'INVALID_TYPE',
        `${this.#what} "${column.name}" of the service "${this.#service}" is ${typeName(known.type)} in one view and ${typeName(column.type)} in another; rename one.`,
      )
    }
  }
}

function unknownFeature(service: DefinitionId, view: DefinitionId, name: string): LockstepError {
  return new LockstepError('UNKNOWN_FEATURE', `The service "${service}" takes "${name}" from "${view}", which has no such feature.`)
}
