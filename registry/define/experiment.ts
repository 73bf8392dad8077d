import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type {
  AnalysisSpec,
  ExperimentSpec,
  ExposureFeatures,
  LayerSpec,
  MetricRole,
  MetricSpec,
  VariantSpec,
} from '../../kernel/specs/experiment-spec.ts'
import { isRecord } from '../../kernel/is-record.ts'
import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { ExperimentOperational } from '../load/definition-set.ts'
import type { Allocation } from './allocation.ts'
import { allocationOf } from './allocation.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, checkOptions, define, describe } from './definition.ts'
import type { EntityRow, FeatureService } from './feature-service.ts'
import type { AnyFeatureView } from './feature-view.ts'
import type { Metric } from './metric.ts'
import { assigned, isMetric } from './metric.ts'
import type { Model } from './model.ts'
import { checkName } from './names.ts'
import type { Outcome } from './outcome.ts'
import type { Source } from './source.ts'
import { checkKeyType } from './t.ts'
import type { ViewUse } from './view-use.ts'
import { asViewUse } from './view-use.ts'

/** A comparison of versions of a model on live requests. */
export interface Experiment<N extends string = string, M extends Model = Model> {
  readonly kind: 'experiment'
  readonly name: N
  readonly model: M
  readonly metrics: readonly Metric[]
  readonly covariates: readonly ViewUse[]
  readonly slices: readonly ViewUse[]
  readonly spec: ExperimentSpec
  readonly operational: ExperimentOperational
  readonly described: Description
}

type RequestField<M> = M extends Model<string, infer S extends FeatureService> ? keyof EntityRow<S> & string : string

export interface ExperimentOptions<M extends Model, V extends string> {
  readonly model: M
  /** The field of the entities that is assigned, or `'request-id'`. */
  readonly unit: RequestField<M> | 'request-id'
  /** What each variant serves: `'champion'`, another alias, or a version. The first one is the control. */
  readonly variants: Readonly<Record<V, 'champion' | (string & {}) | number>>
  /** The share of each variant; they add up to 1. Default: equal shares. */
  readonly weights?: Readonly<Record<NoInfer<V>, number>>
  /** The share of the units that are in the experiment. It may grow while the experiment runs. Default: 1. */
  readonly coverage?: number
  /**
   * Experiments in disjoint parts of a layer never share a unit: `{ name: 'pricing', from: 0, to: 0.5 }`. `coverage` is
   * then a share of that part. Default: the experiment assigns its units independently of all others.
   */
  readonly layer?: { readonly name: string; readonly from?: number; readonly to?: number }
  readonly metrics: {
    /** The metric that decides. */
    readonly primary: Metric
    /** Metrics that must not get worse by more than their margins. */
    readonly guardrails?: readonly Metric[]
    readonly secondary?: readonly Metric[]
  }
  /**
   * `'thompson'`: the shares of the variants follow the primary metric, so that fewer units get a worse variant.
   * Default: the weights never change.
   */
  readonly allocation?: 'thompson' | Allocation
  /** Features as of the exposure that explain part of the metrics and so narrow the intervals. */
  readonly covariates?: readonly (AnyFeatureView | ViewUse)[]
  /** Features as of the exposure by which the units are also compared in groups. */
  readonly slices?: readonly (AnyFeatureView | ViewUse)[]
  readonly analysis?: {
    /** Default: sequential, whose intervals hold however often they are looked at. */
    readonly method?: 'sequential' | 'fixed' | 'bayesian'
    /** Default: 0.05. */
    readonly alpha?: number
    /** Default: holm. */
    readonly correction?: 'holm' | 'bh' | 'none'
    /** How many units the plan expects. A fixed analysis waits for them. */
    readonly units?: number
    /** Of the relative effect, for bayesian. Default: mean 0, deviation 0.1. */
    readonly prior?: { readonly mean: number; readonly deviation: number }
  }
}

const fields = ['model', 'unit', 'variants', 'weights', 'coverage', 'layer', 'metrics', 'covariates', 'slices', 'analysis', 'allocation']
const maxVariants = 20

/**
 * Declares an experiment. `lockstep experiment start` starts it.
 *
 * @example
 * export const delayModelV7 = experiment('delay_model_v7', {
 *   model: delayModel, unit: 'airport', variants: { control: 'champion', treatment: 7 },
 *   metrics: { primary: metric.mean('delay_cost', { of: landings, column: 'cost', within: '1d', better: 'lower' }) },
 * })
 * @throws LockstepError `INVALID_NAME`, `DEFINITIONS_INVALID`, `DUPLICATE_NAME`
 */
export function experiment<const N extends string, M extends Model, const V extends string>(
  name: N,
  body: ExperimentOptions<M, V> & Description,
): Experiment<N, M> {
  const what = `The experiment "${checkName(name, 'An experiment')}"`
  checkBody(body, what, fields)
  checkKind(body.model, ['model'], `The model of ${what.replace('The', 'the')}`, 'a model')
  const unit = unitOf(body.unit, body.model, what)
  const metrics = metricsOf(body.metrics, unit, body.model, what)
  const covariates = usesOf(body.covariates, 'covariates', what)
  const slices = usesOf(body.slices, 'slices', what)
  const spec: ExperimentSpec = {
    name,
    model: body.model.name,
    unit,
    variants: Object.freeze(variantsOf(body.variants, body.weights, what)),
    layer: layerOf(body.layer, what),
    metrics: Object.freeze(metrics.map(({ spec }) => spec)),
    covariates: Object.freeze(covariates.map(exposureFeatures)),
    slices: Object.freeze(slices.map(exposureFeatures)),
    analysis: Object.freeze(analysisOf(body.analysis, what)),
  }
  const allocation = allocationOf(body.allocation, spec, what)
  return define({
    kind: 'experiment',
    name,
    model: body.model,
    metrics: Object.freeze(metrics.map(({ metric }) => metric)),
    covariates: Object.freeze(covariates),
    slices: Object.freeze(slices),
    spec: Object.freeze(allocation === null ? spec : { ...spec, allocation }),
    operational: Object.freeze({ coverage: coverageOf(body.coverage, what) }),
    described: describe(body, what),
  })
}

function unitOf(unit: unknown, { service, name }: Model, what: string): string {
  const known = [...Object.keys(service.needs), 'request-id']
  const type = typeof unit === 'string' ? service.needs[unit] : undefined
  if (type?.kind === 'vector') throw invalid(`${what} has the unit ${show(unit)}, which is a vector; use a field with a single value.`)
  if (typeof unit === 'string' && known.includes(unit)) return unit
  throw invalid(
    `${what} has the unit ${show(unit)}, which requests for the model "${name}" lack.${didYouMean(String(unit), known)} Name one of ${known.join(', ')}.`,
  )
}

function variantsOf(variants: unknown, weights: unknown, what: string): VariantSpec[] {
  if (!isRecord(variants) || Object.keys(variants).length < 2)
    throw invalid(`${what} needs at least two variants, as in variants: { control: 'champion', treatment: 7 }.`)
  const names = Object.keys(variants)
  if (names.length > maxVariants) throw invalid(`${what} has ${names.length} variants; it has at most ${maxVariants}.`)
  const shares = weightsOf(weights, names, what)
  return names.map((each, i) => {
    const serves = variants[each]
    const isVersion = typeof serves === 'number' && Number.isSafeInteger(serves) && serves >= 1
    if (!isVersion && !(typeof serves === 'string' && /^[a-z][a-z0-9_]*$/.test(serves)))
      throw invalid(
        `${what} has the variant "${each}" that serves ${show(serves)}; write 'champion', another alias, or a version such as 7.`,
      )
    return Object.freeze({ name: checkName(each, `A variant of ${what.replace('The', 'the')}`), serves, weight: shares[i] as number })
  })
}

const negligible = 1e-9

function weightsOf(weights: unknown, names: readonly string[], what: string): number[] {
  if (weights === undefined) return names.map(() => 1 / names.length)
  if (!isRecord(weights))
    throw invalid(`${what} has the weights ${show(weights)}; write them by variant, as in { control: 0.9, treatment: 0.1 }.`)
  const other = Object.keys(weights).find((each) => !names.includes(each))
  if (other !== undefined)
    throw invalid(
      `${what} has a weight for "${other}", which is no variant.${didYouMean(other, names)} Its variants are ${names.join(', ')}.`,
    )
  const shares = names.map((each) => {
    const weight = weights[each]
    if (typeof weight === 'number' && weight > 0 && weight < 1) return weight
    throw invalid(`${what} has the weight ${show(weight)} for "${each}"; write a share between 0 and 1 for each variant.`)
  })
  const total = shares.reduce((sum, share) => sum + share, 0)
  if (Math.abs(total - 1) > negligible)
    throw invalid(
      `${what} has weights that add up to ${Number(total.toPrecision(6))}; they must add up to 1. Leave them out for equal shares.`,
    )
  return shares
}

function coverageOf(coverage: unknown = 1, what: string): number {
  if (typeof coverage === 'number' && coverage > 0 && coverage <= 1) return coverage
  throw invalid(`${what} has the coverage ${show(coverage)}; write a share above 0 and at most 1, such as 0.2.`)
}

function layerOf(layer: unknown, what: string): LayerSpec | null {
  if (layer === undefined) return null
  if (!isRecord(layer)) throw invalid(`${what} has the layer ${show(layer)}; write it as in { name: 'pricing', from: 0, to: 0.5 }.`)
  checkOptions(layer, `The layer of ${what.replace('The', 'the')}`, ['name', 'from', 'to'])
  const { name, from = 0, to = 1 } = layer
  const checked = checkName(name, `The layer of ${what.replace('The', 'the')}`)
  if (typeof from === 'number' && typeof to === 'number' && from >= 0 && from < to && to <= 1)
    return Object.freeze({ name: checked, from, to })
  throw invalid(`${what} has the part from ${show(from)} to ${show(to)} of its layer; write shares with 0 <= from < to <= 1.`)
}

function metricsOf(metrics: unknown, unit: string, model: Model, what: string): { readonly metric: Metric; readonly spec: MetricSpec }[] {
  if (!isRecord(metrics) || metrics['primary'] === undefined)
    throw invalid(`${what} has no primary metric; add one, as in metrics: { primary: metric.mean('revenue', { … }) }.`)
  checkOptions(metrics, `The metrics of ${what.replace('The', 'the')}`, ['primary', 'guardrails', 'secondary'])
  const of = (role: MetricRole, given: unknown) => {
    if (!Array.isArray(given)) throw invalid(`${what} has ${show(given)} for ${role} metrics; write a list.`)
    return given.map((each) => {
      if (isMetric(each)) {
        const has = `${what} has the metric "${each.name}"`
        for (const of of each.of) checkMeasured(of, unit, model, has)
        const keyOf = (source: SourceSpec) => keyFields(source, unit, model, has)
        return { metric: each, spec: assigned(each, role, keyOf) }
      }
      throw invalid(`${what} has the ${role} metric ${show(each)}; pass the value that metric.mean(…) or another metric.… returns.`)
    })
  }
  const { primary, guardrails = [], secondary = [] } = metrics
  const all = [...of('primary', [primary]), ...of('guardrail', guardrails), ...of('secondary', secondary)]
  const twice = all.find(({ spec }, i) => all.findIndex((other) => other.spec.name === spec.name) !== i)
  if (twice === undefined) return all
  throw new LockstepError('DUPLICATE_NAME', `${what} has two metrics called "${twice.spec.name}"; give one of them another name.`)
}

/** The fields of an exposure that hold the key of a source. A unit's rows are those with its own key, and no others. */
function keyFields(source: SourceSpec, unit: string, { service, name }: Model, what: string): readonly Column<KeyType>[] {
  const parts = source.key.map(({ part }) => part)
  const own = source.key.find(({ part }) => part === unit)
  const narrower = own === undefined ? null : `key: { ${own.part}: '${own.column}' }`
  const advice =
    narrower === null
      ? `Use a source with the key "${unit === 'request-id' ? Object.keys(service.needs)[0] : unit}".`
      : `Declare a second source on the same table whose key is "${unit}" alone: ${narrower}.`
  const lacking = parts.find((part) => service.needs[part] === undefined)
  if (parts.length === 0 || lacking !== undefined)
    throw invalid(
      `${what} over the source "${source.name}", whose key ${lacking === undefined ? 'is empty' : `"${lacking}" is no field of requests for the model "${name}"`}. ${advice}`,
    )
  if (unit !== 'request-id' && (parts.length > 1 || parts[0] !== unit))
    throw invalid(
      `${what} over the source "${source.name}" with the key ${quotedNames(parts)}, but its unit is "${unit}", so rows of a unit cannot be told apart from those of others. ${advice}`,
    )
  return Object.freeze(
    parts.map((part) =>
      Object.freeze({ name: part, type: checkKeyType(service.needs[part], `The key "${part}" of ${what.replace('The', 'the')}`) }),
    ),
  )
}

function checkMeasured(of: Source | Outcome, unit: string, model: Model, what: string): void {
  const source = of.kind === 'outcome' ? of.source : of
  if (source.spec.known === null)
    throw invalid(
      `${what} over the source "${source.name}", which does not say when its rows become known, so figures of the past would change. Add known: 'a column with that time' to the source.`,
    )
  if (of.kind !== 'outcome') return
  if (of.model.name !== model.name)
    throw invalid(`${what} over the outcome "${of.name}" of the model "${of.model.name}"; use an outcome of "${model.name}".`)
  if (of.spec.match.kind === 'entity') keyFields(of.source.spec, unit, model, what)
}

function usesOf(given: unknown, field: 'covariates' | 'slices', what: string): ViewUse[] {
  if (given === undefined) return []
  if (!Array.isArray(given))
    throw invalid(`${what} has ${show(given)} for ${field}; write a list, as in [airportDelays.pick('meanDelay')].`)
  return given.map((each: AnyFeatureView | ViewUse, i) =>
    asViewUse(each, `Member ${i + 1} of the ${field} of ${what.replace('The', 'the')}`),
  )
}

function exposureFeatures({ spec, features }: ViewUse): ExposureFeatures {
  return Object.freeze({ kind: 'view', use: spec, features: Object.freeze(Object.keys(features)) })
}

function analysisOf(given: unknown, what: string): AnalysisSpec {
  const of = `The analysis of ${what.replace('The', 'the')}`
  checkOptions(given, of, ['method', 'alpha', 'correction', 'units', 'prior'])
  const { method = 'sequential', alpha = 0.05, correction = 'holm', units, prior } = (given ?? {}) as Readonly<Record<string, unknown>>
  if (method !== 'sequential' && method !== 'fixed' && method !== 'bayesian')
    throw invalid(`${of} has the method ${show(method)}; write 'sequential', 'fixed' or 'bayesian'.`)
  if (correction !== 'holm' && correction !== 'bh' && correction !== 'none')
    throw invalid(`${of} has the correction ${show(correction)}; write 'holm', 'bh' or 'none'.`)
  if (typeof alpha !== 'number' || !(alpha > 0 && alpha <= 0.5))
    throw invalid(`${of} has the alpha ${show(alpha)}; write a share such as 0.05.`)
  if (units !== undefined && !(typeof units === 'number' && Number.isSafeInteger(units) && units >= 1))
    throw invalid(`${of} has ${show(units)} units; write a whole number.`)
  if (method === 'fixed' && units === undefined)
    throw invalid(
      `${of} is fixed and does not say for how many units it waits; write units: 20000. "lockstep experiment plan" computes it.`,
    )
  if (prior !== undefined && method !== 'bayesian') throw invalid(`${of} has a prior, which only the method 'bayesian' uses; remove it.`)
  return { method, alpha, correction, units: units ?? null, prior: method === 'bayesian' ? priorOf(prior, of) : null }
}

function priorOf(prior: unknown, of: string): AnalysisSpec['prior'] {
  if (prior === undefined) return Object.freeze({ mean: 0, deviation: 0.1 })
  const { mean, deviation } = isRecord(prior) ? prior : {}
  if (typeof mean === 'number' && Number.isFinite(mean) && typeof deviation === 'number' && deviation > 0)
    return Object.freeze({ mean, deviation })
  throw invalid(`${of} has the prior ${show(prior)}; write it as in { mean: 0, deviation: 0.1 }.`)
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
