import { LockstepError } from './errors.ts'
import { isNullable } from './result-type.ts'
import type { OnDemandCode, OnDemandStep, StepInput, StepValues } from './on-demand-step.ts'
import { onDemandStep } from './on-demand-step.ts'
import type { ServiceFeature, ServicePlan, ViewUse } from './service-plan.ts'
import type { FeaturePlace } from './service-row.ts'
import { RowLayout } from './service-row.ts'
import type { OnDemandInputSpec, ServiceSpec, ViewUseSpec } from './specs/service-spec.ts'
import type { ViewValues } from './states/state.ts'
import { Status } from './states/state.ts'
import type { Column, ColumnType, KeyType, Value } from './values/value-type.ts'
import { sameType, typeName } from './values/value-type.ts'
import type { ViewPlan } from './view-plan.ts'
import type { DefinitionId } from './specs/view-spec.ts'
import { definitionId } from './specs/view-spec.ts'

export interface ServiceParts {
  readonly spec: ServiceSpec
  readonly fingerprint: string
  readonly views: ReadonlyMap<DefinitionId, ViewPlan>
  readonly onDemand: ReadonlyMap<DefinitionId, OnDemandCode>
}

/**
 * Compiles a stored feature service.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `UNKNOWN_FEATURE`, `FEATURE_NAME_CLASH`, `INVALID_TYPE`, each naming the
 *   service and the offender
 */
export function compileService({ spec, fingerprint, views, onDemand }: ServiceParts): ServicePlan {
  const id = definitionId(spec)
  const uses = new Uses(id, views)
  const request = new NamedColumns<ColumnType>(id, 'The request value')
  const steps: OnDemandStep[] = []
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

  /** The step of an on-demand view. Its inputs' steps come before it. */
  const stepIndex = (view: DefinitionId): number => {
    const known = steps.findIndex((step) => step.view === view)
    if (known >= 0) return known
    const found = onDemand.get(view)
    if (found === undefined)
      throw new LockstepError(
        'UNKNOWN_DEFINITION',
        `The service "${id}" uses the on-demand view "${view}", which does not exist. Apply it first.`,
      )
    for (const column of found.spec.request) request.add(column)
    const inputs = found.spec.inputs.map((input): StepInput => {
      const [site, source] = 'use' in input ? (['use', uses.index(input.use)] as const) : (['onDemand', stepIndex(input.onDemand)] as const)
      const from = site === 'use' ? (uses.list[source] as ViewUse).plan : (steps[source] as OnDemandStep)
      return { name: input.name, site, source, features: givenFeatures(id, input, from) }
    })
    return steps.push(onDemandStep(found, view, inputs, request.list)) - 1
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
        const fullName = member.use.alias === null ? name : `${member.use.alias}__${name}`
        addFeature({
          name: fullName,
          type: known.type,
          required: known.required,
          view: plan.id,
          use,
          inputs: [use],
          nullable: isNullable(declared),
          site: 'use',
          source: use,
          feature,
        })
      }
      continue
    }
    const index = stepIndex(member.view)
    const { spec: found } = steps[index] as OnDemandStep
    for (const name of member.features) {
      const feature = found.features.findIndex((f) => f.name === name)
      const declared = found.features[feature]
      if (declared === undefined) throw unknownFeature(id, member.view, name)
      addFeature({
        name,
        type: declared.type,
        required: declared.required,
        view: member.view,
        use: null,
        inputs: readsOf(steps, index),
        nullable: isNullable(declared),
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
  const placeOf = ({ site, source, feature }: FeatureSite): FeaturePlace => ({
    site: site === 'use' ? source : uses.list.length + source,
    feature,
  })
  const layout = new RowLayout(features.map(placeOf))
  const needed = neededSites(features, steps, uses.list).map((site) => ({ name: site.name, ...placeOf(site) }))

  return {
    id,
    name: spec.name,
    version: spec.version,
    fingerprint,
    uses: uses.list,
    keys,
    request: request.list,
    features: features.map(({ name, type, required, view, use, inputs, nullable }) => ({
      name,
      type,
      required,
      view,
      use,
      inputs,
      nullable,
    })),
    required: needed.map(({ name }) => name),
    direct: steps.length > 0 || needed.length > 0 ? null : features.map(({ source, feature }) => ({ use: source, feature })),
    evaluate(read, requestValues, asOf) {
      const sites = steps.length === 0 ? read : withSteps(steps, read, requestValues, asOf)
      let missing = noneMissing
      for (const { name, site, feature } of needed) {
        const { statuses, values } = sites[site] as StepValues
        if (statuses[feature] !== Status.present && (values[feature] ?? null) === null) missing = [...missing, name]
      }
      return layout.row(read, sites, missing)
    },
  }
}

const noneMissing: readonly string[] = []

function withSteps(
  steps: readonly OnDemandStep[],
  read: readonly ViewValues[],
  requestValues: readonly Value[],
  asOf: number,
): readonly StepValues[] {
  const computed: StepValues[] = []
  for (const step of steps) computed.push(step.compute({ use: read, onDemand: computed }, requestValues, asOf))
  return [...read, ...computed]
}

interface FeatureSite {
  readonly site: 'use' | 'onDemand'
  /** Index of the use or of the on-demand view. */
  readonly source: number
  /** Index of the feature in it. */
  readonly feature: number
}

/** The views that a step reads, itself or by other steps. */
function readsOf(steps: readonly OnDemandStep[], index: number): number[] {
  const { inputs } = steps[index] as OnDemandStep
  return inputs.flatMap(({ site, source }) => (site === 'use' ? [source] : readsOf(steps, source)))
}

function givenFeatures(service: DefinitionId, input: OnDemandInputSpec, from: ViewPlan | OnDemandStep): StepInput['features'] {
  const [view, all] = 'id' in from ? [from.id, from.features] : [from.view, from.spec.features]
  return (input.features ?? all.map(({ name }) => name)).map((name) => {
    const index = all.findIndex((feature) => feature.name === name)
    const feature = all[index]
    if (feature === undefined) throw unknownFeature(service, view, name)
    return { name, index, required: feature.required }
  })
}

/** The locations of required values: first the service's own features, then inputs of on-demand views. */
function neededSites(
  features: readonly (ServiceFeature & FeatureSite)[],
  steps: readonly OnDemandStep[],
  uses: readonly ViewUse[],
): (FeatureSite & { readonly name: string })[] {
  const needed: (FeatureSite & { readonly name: string })[] = features.filter(({ required }) => required)
  for (const { site, source, features: given } of steps.flatMap((step) => step.inputs)) {
    const view = site === 'use' ? uses[source]?.plan.id : steps[source]?.view
    for (const { name, index, required } of given) {
      if (!required || needed.some((n) => n.site === site && n.source === source && n.feature === index)) continue
      needed.push({ name: `${view}.${name}`, site, source, feature: index })
    }
  }
  return needed
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
        `The service "${this.#service}" uses the view "${use.view}", which does not exist. Apply it first.`,
      )
    for (const [i, part] of plan.key.entries()) this.keys.add({ name: use.key[i] ?? part.name, type: part.type })
    return this.list.push({ plan, alias: use.alias, key: use.key }) - 1
  }
}

/** Columns by name, each of one type. */
class NamedColumns<V extends ColumnType> {
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
