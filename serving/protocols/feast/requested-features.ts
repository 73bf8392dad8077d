import { compileService } from '../../../kernel/compile-service.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import type { ServiceMember } from '../../../kernel/specs/service-spec.ts'
import type { DefinitionId } from '../../../kernel/specs/view-spec.ts'
import { didYouMean } from '../../../kernel/did-you-mean.ts'
import { cutText } from '../../../kernel/values/cut-text.ts'
import { quotedNames } from '../../../kernel/values/quoted-names.ts'
import type { ReadCatalog } from '../../features/read-catalog.ts'

/** The features that a Feast client asks for. */
export interface FeastRequest {
  readonly feature_service?: string | null | undefined
  readonly features?: readonly string[] | null | undefined
  readonly full_feature_names: boolean
}

export interface RequestedFeatures {
  readonly plan: ServicePlan
  /** The names of the features for the client, by index of the plan's features. */
  readonly names: readonly string[]
}

/** Requests are compiled once per registry, because clients repeat a few of them. */
const maxRemembered = 500
/** A longer request is compiled each time. */
const longestRemembered = 10_000
const rememberedOf = memoizeWeak((_catalog: ReadCatalog) => new Map<string, RequestedFeatures>())

/**
 * The features of a feature service, or of a list of `view:feature` as a service of its own.
 *
 * @throws LockstepError `INVALID_REQUEST`, `UNKNOWN_DEFINITION`, and why a definition is broken
 */
export function requestedFeatures(catalog: ReadCatalog, request: FeastRequest): RequestedFeatures {
  const remembered = rememberedOf(catalog)
  const key = JSON.stringify([request.feature_service, request.features, request.full_feature_names])
  let known = remembered.get(key)
  if (known === undefined) {
    known = compile(catalog, request)
    if (key.length > longestRemembered) return known
    if (remembered.size >= maxRemembered) remembered.clear()
    remembered.set(key, known)
  }
  return known
}

function compile(catalog: ReadCatalog, { feature_service: service, features, full_feature_names: full }: FeastRequest): RequestedFeatures {
  if (typeof service === 'string' && service !== '') {
    const plan = catalog.service(service.replace(/@v(?=\d+$)/i, '@'))
    return { plan, names: plan.features.map((feature) => (full ? fullName(plan, feature) : feature.name)) }
  }
  if (features === undefined || features === null || features.length === 0) {
    throw new LockstepError('INVALID_REQUEST', 'The request must name "features" or a "feature_service".')
  }
  const groups = grouped(catalog, [...new Set(features)])
  if (!full) refuseClash(groups)
  const members = groups.map((group): ServiceMember => {
    if (group.kind === 'onDemand') return { kind: 'onDemand', view: group.id, features: group.features }
    const key = catalog.view(group.id).key.map(({ name }) => name)
    return { kind: 'view', use: { view: group.id, alias: full ? group.name : null, key }, features: group.features }
  })
  const spec = { name: 'requested', version: 1, members }
  const plan = compileService({ spec, fingerprint: '', views: catalog.views, onDemand: catalog.onDemand })
  return { plan, names: groups.flatMap(({ name, features: of }) => of.map((feature) => (full ? `${name}__${feature}` : feature))) }
}

interface Group {
  readonly kind: 'view' | 'onDemand'
  readonly id: DefinitionId
  /** As it stands before `__` in full names: with its version where that was asked for. */
  readonly name: string
  readonly features: string[]
}

/** Groups the features by view, as Feast does. */
function grouped(catalog: ReadCatalog, refs: readonly string[]): Group[] {
  const groups = new Map<string, Group>()
  for (const text of refs) {
    const { view, version, feature } = parseFeatureRef(text)
    const name = version === null ? view : `${view}@v${version}`
    let group = groups.get(name)
    if (group === undefined) {
      const reference = version === null ? view : `${view}@${version}`
      const onDemand = catalog.onDemandId(view, version)
      group =
        onDemand === undefined
          ? { kind: 'view', id: catalog.view(reference).id, name, features: [] }
          : { kind: 'onDemand', id: onDemand, name, features: [] }
      groups.set(name, group)
    }
    const known =
      group.kind === 'view'
        ? catalog.view(group.id).features.map((each) => each.name)
        : (catalog.onDemand.get(group.id)?.spec.features.map((each) => each.name) ?? [])
    if (!known.includes(feature)) {
      throw new LockstepError(
        'UNKNOWN_DEFINITION',
        `The view "${group.id}" has no feature "${feature}".${didYouMean(feature, known)} It has ${quotedNames(known)}.`,
        { details: { kind: 'feature', view: group.id, feature } },
      )
    }
    group.features.push(feature)
  }
  return [...groups.values()]
}

function refuseClash(groups: readonly Group[]): void {
  const from = new Map<string, string>()
  for (const { name, features } of groups) {
    for (const feature of features) {
      const other = from.get(feature)
      if (other !== undefined) {
        throw new LockstepError(
          'INVALID_REQUEST',
          `"${other}:${feature}" and "${name}:${feature}" would have the same name in the answer. Set full_feature_names to true.`,
          { details: { features: [`${other}:${feature}`, `${name}:${feature}`] } },
        )
      }
      from.set(feature, name)
    }
  }
}

/** A feature of a use with an alias has its name in front already. */
function fullName({ uses }: ServicePlan, { name, view }: { readonly name: string; readonly view: DefinitionId }): string {
  if (uses.some(({ plan, alias }) => plan.id === view && alias !== null && name.startsWith(`${alias}__`))) return name
  return `${view.slice(0, view.lastIndexOf('@'))}__${name}`
}

/** `driver_stats:conv_rate`, `driver_stats@v2:conv_rate` or `driver_stats@latest:conv_rate`, taken apart. */
interface FeatureRef {
  readonly view: string
  /** null: the newest. */
  readonly version: number | null
  readonly feature: string
}

const pattern = /^([^:@]+)(?:@(?:[vV]?(\d{1,9})|latest))?:([^:]+)$/

/** @throws LockstepError `INVALID_REQUEST` */
function parseFeatureRef(text: string): FeatureRef {
  const match = pattern.exec(text)
  if (match === null) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The feature "${cutText(text, 200)}" is not written as "view:feature" or "view@v2:feature".`,
      {
        details: { feature: cutText(text, 200) },
      },
    )
  }
  const [, view = '', version, feature = ''] = match
  return { view, version: version === undefined ? null : Number(version), feature }
}
