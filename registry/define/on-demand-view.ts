import { LockstepError } from '../../kernel/errors.ts'
import { isNullable } from '../../kernel/result-type.ts'
import type { OnDemandFeatureSpec, OnDemandInputSpec, OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import type { ValueOf, ValueType } from '../../kernel/values/value-type.ts'
import { show } from '../../kernel/values/value-type.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, checkOptions, define, definitionKind, describe } from './definition.ts'
import type { Feature, Features, FeatureValues, Nullable } from './feature.ts'
import { statedDefault } from './feature-spec.ts'
import type { AnyFeatureView } from './feature-view.ts'
import { checkFieldName, checkName, checkVersion } from './names.ts'
import { mergeNeeds } from './needs.ts'
import type { Flat, UnionToIntersection } from './needs.ts'
import type { StatedValue, Types, ValuesOf } from './t.ts'
import { checkColumnType, checkType } from './t.ts'
import type { ViewUse } from './view-use.ts'
import { picked, asViewUse } from './view-use.ts'

/** A feature of an on-demand view: its type, or its type with a default for missing values. */
export type StatedFeature = ValueType | { readonly type: ValueType; readonly default?: StatedValue; readonly required?: boolean }

/**
 * What on-demand views and services can contain: feature views and on-demand views, complete or picked. A feature view
 * may have an alias.
 */
export type Member = AnyFeatureView | ViewUse | OnDemandView | OnDemandPick

type Inputs = Readonly<Record<string, Member>>
type StatedFeatures = Readonly<Record<string, StatedFeature>>

/** Features that are computed at the requested time, from request data and from other features. */
export interface OnDemandView<N extends string = string, Needs extends Types = Types, F extends Features = Features> {
  readonly kind: 'onDemandView'
  readonly name: N
  readonly version: number
  /** The columns that it needs from the spine or request: its request data and the keys of its inputs. */
  readonly needs: Needs
  readonly inputs: readonly (ViewUse | OnDemandPick)[]
  readonly features: F
  /** Everything except the hash of the transform's code, which is known only after bundling. */
  readonly spec: Omit<OnDemandSpec, 'code'>
  readonly transform: (input: never) => unknown
  readonly described: Description
  /** Only these features. */
  pick<P extends keyof F & string>(...names: P[]): OnDemandPick<Needs, Pick<F, P>>
}

/** An on-demand view as a service uses it, with only some of its features. */
export interface OnDemandPick<Needs extends Types = Types, F extends Features = Features> {
  readonly kind: 'onDemandPick'
  readonly view: OnDemandView<string, Needs>
  readonly needs: Needs
  readonly features: F
  pick<P extends keyof F & string>(...names: P[]): OnDemandPick<Needs, Pick<F, P>>
}

/** The argument of an on-demand view's transform. */
export type OnDemandInput<R extends Types, I extends Inputs> = {
  /** The request data. */
  readonly request: ValuesOf<R>
  /**
   * The time of the row, epoch microseconds: the spine's time in training; now (or `asOf`) in serving. There is no
   * other clock.
   */
  readonly asOf: number
} & { readonly [K in keyof I]: FeatureValues<I[K]['features']> }

type OnDemandFeatures<S extends StatedFeatures> = {
  readonly [K in keyof S]: S[K] extends { readonly type: infer V extends ValueType }
    ? Feature<
        V,
        Nullable<
          S[K] extends { readonly default: infer D } ? D : undefined,
          S[K] extends { readonly required: infer Q extends boolean } ? Q : false
        >
      >
    : S[K] extends ValueType
      ? Feature<S[K], true>
      : never
}

type Output<F extends Features> = { readonly [K in keyof F]: ValueOf<F[K]['type']> | null }

type InputNeeds<I extends Inputs> = {
  [K in keyof I]: MemberNeeds<I[K]>
}[keyof I]

/** The columns that a view needs from the spine or request. */
export type MemberNeeds<M> = M extends { readonly needs: infer N } ? N : M extends AnyFeatureView ? M['entity']['key'] : never

/** The columns of the request data and of the inputs' keys. */
export type NeedsOf<R extends Types, I extends Inputs> = [keyof I] extends [never] ? R : Flat<R & UnionToIntersection<InputNeeds<I>>>

interface OnDemandBody<R extends Types, I extends Inputs, S extends StatedFeatures> extends Description {
  readonly version: number
  /** Values from the spine or the request; never null. */
  readonly request?: R
  /** Feature views and other on-demand views, under the names that the transform uses. */
  readonly inputs?: I
  readonly features: S & {
    readonly [K in keyof S]: S[K] extends { readonly type: infer V extends ValueType } ? { readonly default?: ValueOf<V> } : unknown
  }
  /** A pure function that returns the features, any of which may be null. */
  readonly transform: (input: OnDemandInput<R, I>) => Output<OnDemandFeatures<NoInfer<S>>>
}

/**
 * Declares an on-demand view.
 *
 * @example export const flightContext = onDemandView('flight_context', { version: 1, request: { scheduledAt:
 *   t.timestamp }, inputs: { origin: airportDelays }, features: { hour: t.int32, pressure: { type: t.float64, default:
 *   0 } }, transform: ({ request, origin }) => ({ hour: new Date(request.scheduledAt / 1000).getUTCHours(), pressure:
 *   origin.meanDelay6h }), })
 * @throws LockstepError `INVALID_NAME`, `INVALID_TYPE`, `DEFINITIONS_INVALID`
 */
export function onDemandView<
  const N extends string,
  const S extends StatedFeatures,
  const R extends Types = {},
  const I extends Inputs = {},
>(name: N, body: OnDemandBody<R, I, S>): OnDemandView<N, NeedsOf<R, I>, OnDemandFeatures<S>> {
  const what = `on-demand view "${checkName(name, 'An on-demand view')}"`
  checkBody(body, `The ${what}`, ['version', 'request', 'inputs', 'features', 'transform'])
  if (typeof body.transform !== 'function') {
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no transform; write transform: ({ request, asOf }) => ({ … }).`)
  }
  const request = Object.entries(body.request ?? {}).map(([column, type]) => {
    const place = `The request value "${column}" of ${what}`
    return Object.freeze({ name: checkFieldName(column, place), type: checkColumnType(type, place) })
  })
  const inputs = Object.entries(body.inputs ?? {}).map(([input, value]) => {
    const place = `The input "${input}" of ${what}`
    checkFieldName(input, place)
    if (input === 'request' || input === 'asOf')
      throw new LockstepError('INVALID_NAME', `${place} has a name that is already used; choose another.`)
    return { name: input, use: usedMember(value, place) }
  })
  const specs = Object.entries(body.features ?? {}).map(([feature, stated]) => onDemandFeature(feature, stated, what))
  if (specs.length === 0)
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no features; add one, as in features: { hour: t.int32 }.`)
  const needs = mergeNeeds(
    [{ needs: body.request ?? {}, of: `the request of ${what}` }, ...inputs.map((i) => ({ needs: i.use.needs, of: originOf(i.use) }))],
    what,
  )
  const features = Object.freeze(
    Object.fromEntries(specs.map((s) => [s.name, Object.freeze({ type: s.type, nullable: isNullable(s) })])),
  ) as OnDemandFeatures<S>
  const spec: Omit<OnDemandSpec, 'code'> = {
    name,
    version: checkVersion(body.version, `The ${what}`),
    request: Object.freeze(request),
    inputs: Object.freeze(inputs.map((i) => inputSpec(i.name, i.use))),
    features: Object.freeze(specs),
  }
  const view: OnDemandView<N, NeedsOf<R, I>, OnDemandFeatures<S>> = define({
    kind: 'onDemandView',
    name,
    version: body.version,
    needs: needs as NeedsOf<R, I>,
    inputs: Object.freeze(inputs.map((i) => i.use)),
    features,
    spec: Object.freeze(spec),
    transform: body.transform,
    described: describe(body, `The ${what}`),
    pick: (...names) => onDemandPick(view, view.needs, picked(features, names, what)),
  })
  return view
}

/** Converts a member to a use or a pick. A plain view or on-demand view keeps all of its features. */
export function usedMember(value: Member, what: string): ViewUse | OnDemandPick {
  checkKind(value, ['featureView', 'viewUse', 'onDemandView', 'onDemandPick'], what, 'a feature view or an on-demand view')
  switch (definitionKind(value)) {
    case 'onDemandView':
      return (value as OnDemandView).pick(...Object.keys(value.features))
    case 'onDemandPick':
      return value as OnDemandPick
    default:
      return asViewUse(value as AnyFeatureView | ViewUse, what)
  }
}

/** `view "airport_delays@1"`, for messages. */
export function originOf(member: ViewUse | OnDemandPick): string {
  return `${member.kind === 'viewUse' ? 'view' : 'on-demand view'} "${definitionId(member.view)}"`
}

/** The order of a pick has no effect here, so the view's own order is stored. */
function inputSpec(name: string, use: ViewUse | OnDemandPick): OnDemandInputSpec {
  const all = Object.keys(use.view.features)
  const given = all.filter((feature) => Object.hasOwn(use.features, feature))
  const from = use.kind === 'viewUse' ? { use: use.spec } : { onDemand: definitionId(use.view) }
  return Object.freeze({ name, ...from, ...(given.length === all.length ? {} : { features: Object.freeze(given) }) })
}

function onDemandPick<Needs extends Types, F extends Features>(
  view: OnDemandView<string, Needs>,
  needs: Needs,
  features: F,
): OnDemandPick<Needs, F> {
  return define({
    kind: 'onDemandPick',
    view,
    needs,
    features,
    pick: (...names) => onDemandPick(view, needs, picked(features, names, `on-demand view "${view.name}"`)),
  })
}

function onDemandFeature(name: string, stated: StatedFeature, what: string): OnDemandFeatureSpec {
  const place = `feature "${checkFieldName(name, `A feature of ${what}`)}" of ${what}`
  if (typeof stated !== 'object' || stated === null) {
    throw new LockstepError(
      'INVALID_TYPE',
      `The ${place} is ${show(stated)}; write a type, as in t.float64, or { type: t.float64, default: 0 }.`,
    )
  }
  if (!('type' in stated)) return Object.freeze({ name, type: checkType(stated, `The ${place}`), default: null, required: false })
  checkOptions(stated, `The ${place}`, ['type', 'default', 'required'])
  const type = checkType(stated.type, `The ${place}`)
  return Object.freeze({ name, type, default: statedDefault(type, stated.default, place), required: stated.required ?? false })
}
