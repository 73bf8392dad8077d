import { LockstepError } from '../../kernel/errors.ts'
import type { ServiceMember, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, define, describe } from './definition.ts'
import type { Features, FeatureValues } from './feature.ts'
import { checkName, checkVersion } from './names.ts'
import { mergeNeeds } from './needs.ts'
import type { Flat, UnionToIntersection } from './needs.ts'
import type { Member, MemberNeeds, OnDemandPick } from './on-demand-view.ts'
import { originOf, usedMember } from './on-demand-view.ts'
import type { Types, ValuesOf } from './t.ts'
import type { ViewUse } from './view-use.ts'

/** An ordered list of features that a model is trained on and served with. */
export interface FeatureService<
  N extends string = string,
  Needs extends Types = Types,
  F extends Features = Features,
  V extends number = number,
> {
  readonly kind: 'featureService'
  readonly name: N
  readonly version: V
  /** The columns that a spine and a request must have: entity keys and request data. */
  readonly needs: Needs
  /** By their names in this service: `feature`, or `alias__feature` under an alias. */
  readonly features: F
  readonly members: readonly Member[]
  readonly spec: ServiceSpec
  readonly described: Description
}

/** The values that a request for this service sends for each entity, besides the time. */
export type EntityRow<S extends FeatureService> = ValuesOf<S['needs']>
/** The features that this service returns for each entity. */
export type FeatureRow<S extends FeatureService> = FeatureValues<S['features']>

type MemberFeatures<M> = M extends { readonly features: infer F extends Features }
  ? M extends { readonly alias: infer A extends string }
    ? { readonly [K in keyof F & string as `${A}__${K}`]: F[K] }
    : F
  : never

type NeedsOf<M extends readonly Member[]> = Flat<UnionToIntersection<MemberNeeds<M[number]>>>

/**
 * Refuses features with the name of a key or of request data, because both would be the same column of a training set.
 */
type NoClash<Both> = [Both] extends [never]
  ? unknown
  : string extends Both
    ? unknown
    : { readonly 'a feature has the name of a key or of request data': Both }

type AllFeatures<M extends readonly Member[]> =
  UnionToIntersection<MemberFeatures<M[number]>> extends infer F extends Features ? { readonly [K in keyof F]: F[K] } : never

/**
 * Declares a feature service.
 *
 * @example export const flightFeatures = featureService('flight_features', { version: 1, features: [airportDelays,
 *   airportDelays.as('destination', { airport: 'destination' }), flightContext.pick('hour')], })
 * @throws LockstepError `FEATURE_NAME_CLASH` naming both views, or the view and the column, `INVALID_NAME`,
 *   `INVALID_TYPE`, `DEFINITIONS_INVALID`
 */
export function featureService<const N extends string, const M extends readonly Member[], const V extends number>(
  name: N,
  body: { readonly version: V; readonly features: M & NoClash<Extract<keyof AllFeatures<M>, keyof NeedsOf<M>>> } & Description,
): FeatureService<N, NeedsOf<M>, AllFeatures<M>, V> {
  const what = `service "${checkName(name, 'A feature service')}"`
  checkBody(body, `The ${what}`, ['version', 'features'])
  if (!Array.isArray(body.features) || body.features.length === 0) {
    throw new LockstepError('DEFINITIONS_INVALID', `The ${what} has no features; list views in it, as in features: [airportDelays].`)
  }
  const members = body.features.map((member, i) => usedMember(member, `Member ${i + 1} of ${what}`))
  const features: Record<string, Features[string]> = {}
  const from = new Map<string, string>()
  for (const member of members) {
    const alias = member.kind === 'viewUse' ? member.alias : null
    const origin = originOf(member)
    for (const [feature, facts] of Object.entries(member.features)) {
      const full = alias === null ? feature : `${alias}__${feature}`
      const other = from.get(full)
      if (other !== undefined) {
        throw new LockstepError(
          'FEATURE_NAME_CLASH',
          `The ${what} would have two features called "${full}", of ${other} and of ${origin}; pick others with .pick(…), or give one an alias with .as(…).`,
        )
      }
      from.set(full, origin)
      features[full] = facts
    }
  }
  const needs = mergeNeeds(
    members.map((m) => ({ needs: m.needs, of: originOf(m) })),
    what,
  )
  for (const member of members) {
    for (const column of Object.keys(member.needs)) {
      const origin = from.get(column)
      if (origin === undefined) continue
      throw new LockstepError(
        'FEATURE_NAME_CLASH',
        `The ${what} would have the feature "${column}", of ${origin}, and the column "${column}", which ${originOf(member)} needs as a key or as request data. Rename one of them, or give the view an alias with .as(…).`,
      )
    }
  }
  const spec: ServiceSpec = { name, version: checkVersion(body.version, `The ${what}`), members: Object.freeze(members.map(memberSpec)) }
  return define({
    kind: 'featureService',
    name,
    version: body.version,
    needs: needs as NeedsOf<M>,
    features: Object.freeze(features) as AllFeatures<M>,
    members: Object.freeze(members),
    spec: Object.freeze(spec),
    described: describe(body, `The ${what}`),
  })
}

function memberSpec(member: ViewUse | OnDemandPick): ServiceMember {
  const features = Object.freeze(Object.keys(member.features))
  if (member.kind === 'viewUse') return Object.freeze({ kind: 'view', use: member.spec, features })
  return Object.freeze({ kind: 'onDemand', view: definitionId(member.view), features })
}
