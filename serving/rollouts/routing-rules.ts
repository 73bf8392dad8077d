import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import { experimentRules } from './experiment-rules.ts'
import type { RoutingRule } from './routing-rule.ts'
import { unitReader } from './unit-reader.ts'

/** The rules of a model, in order: a row gets the version of the first one that covers its unit. */
export function routingRules(catalog: Catalog, model: CatalogModel): readonly RoutingRule[] {
  // the usual case; a pin wins over all rules
  if ((model.rollout === null && model.experiments.length === 0) || model.pin !== null) return none
  const known = rulesOf(model)
  return (known.rules ??= [
    ...experimentRules(catalog, model),
    ...(model.rollout === null ? [] : compile(catalog, model, model.rollout, 'canary')),
  ])
}

const none: readonly RoutingRule[] = []
/** A model of a catalog never changes. */
const rulesOf = memoizeWeak((_model: CatalogModel): { rules?: readonly RoutingRule[]; shadow?: readonly RoutingRule[] } => ({}))

/** The rule by which rows also go to the shadow of a model; null: it has none. */
export function shadowRule(catalog: Catalog, model: CatalogModel): RoutingRule | null {
  if (model.shadow === null) return null
  const known = rulesOf(model)
  return (known.shadow ??= compile(catalog, model, model.shadow, 'shadow'))[0] ?? null
}

function compile(
  catalog: Catalog,
  model: CatalogModel,
  { version, share, unit, salt }: Pick<Rollout, 'version' | 'share' | 'unit' | 'salt'>,
  role: 'canary' | 'shadow',
): readonly RoutingRule[] {
  const service = model.versions.find((each) => each.version === version)?.service
  const plan = service === undefined ? undefined : catalog.services.get(service)
  if (plan === undefined) return none
  const target = { version, role, experiment: null, variant: null }
  const rule = {
    salt,
    kept: null,
    places: new Map<string, number>(),
    slices: [{ from: 0, to: share, variant: 'candidate' }],
    targets: new Map([['candidate', target]]),
  }
  const unitOf = unitReader(plan, unit)
  return unitOf === null ? none : [{ ...rule, unitOf }]
}
