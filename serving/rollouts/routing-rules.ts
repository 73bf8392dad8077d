import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ServedAs } from '../../monitoring/role.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { Slice } from '../../statistics/assign.ts'
import { placeOf, variantAt } from '../../statistics/assign.ts'
import { experimentRules } from './experiment-rules.ts'
import type { UnitReader } from './unit-reader.ts'
import { unitReader } from './unit-reader.ts'

/** The version that rows get by a rule, and what the answer says of it. */
export interface RoutingTarget extends ServedAs {
  readonly version: number
}

/** Gives a part of all units to versions. */
export interface RoutingRule {
  readonly salt: string
  readonly unitOf: UnitReader
  readonly slices: readonly Slice[]
  /** Units whose place by this salt is outside of `[from, to)` are not covered. Absent: all may be. */
  readonly within?: { readonly salt: string; readonly from: number; readonly to: number }
  /** Variants by unit, of units that do not get that of their place; null: there are none. */
  readonly kept: ReadonlyMap<string, string> | null
  /** Places of units that were asked for lately. */
  readonly places: Map<string, number>
  /** By variant of the slices. */
  readonly targets: ReadonlyMap<string, RoutingTarget>
}

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

/** What a row gets by the first rule that covers it; null: none does. */
export function targetOf(rules: readonly RoutingRule[], entity: unknown, row: number, requestId: string): RoutingTarget | null {
  for (const rule of rules) {
    const { slices, targets } = rule
    const unit = rule.unitOf(entity, row, requestId)
    const variant = unit === null ? null : (rule.kept?.get(unit) ?? variantAt(slices, placeIn(rule, unit)))
    const target = variant === null ? undefined : targets.get(variant)
    if (target !== undefined) return target
  }
  return null
}

/** A hash costs more than the rest of the routing, and the same units come again. */
function placeIn({ salt, within, places }: RoutingRule, unit: string): number {
  const known = places.get(unit)
  if (known !== undefined) return known
  const place = within === undefined || isWithin(within, unit) ? placeOf(salt, unit) : nowhere
  if (places.size >= maxPlaces) places.clear()
  if (unit.length <= maxKeptLetters) places.set(unit, place)
  return place
}

/** No slice has it. */
const nowhere = 2

function isWithin({ salt, from, to }: NonNullable<RoutingRule['within']>, unit: string): boolean {
  const place = placeOf(salt, unit)
  return from <= place && place < to
}

/** About 2 MB for each rollout. */
const [maxPlaces, maxKeptLetters] = [20_000, 100]
