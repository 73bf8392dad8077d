import { isRecord } from '../../kernel/is-record.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { Column, Value, ValueType } from '../../kernel/value-type.ts'
import type { ServedAs } from '../../monitoring/role.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { entityFields } from '../../registry/rollouts/check-candidate.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import { requestUnit } from '../../registry/rollouts/rollout.ts'
import type { Slice } from '../../statistics/assign.ts'
import { parseField } from '../features/entity-parser.ts'

/** The version that rows get by a rule, and what the answer says of it. */
export interface RoutingTarget extends ServedAs {
  readonly version: number
}

/** Gives a part of all units to versions. */
export interface RoutingRule {
  readonly salt: string
  /**
   * The canonical text of a row's unit; null: the entity is no object, which the version that answers refuses.
   *
   * @throws LockstepError `INVALID_ENTITY` or `MISSING_REQUEST_VALUE`, naming the field
   */
  readonly unitOf: (entity: unknown, row: number, requestId: string) => string | null
  readonly slices: readonly Slice[]
  /** Places of units that were asked for lately. */
  readonly places: Map<string, number>
  /** By variant of the slices. */
  readonly targets: ReadonlyMap<string, RoutingTarget>
}

/** The rules of a model, in order: a row gets the version of the first one that covers its unit. */
export function routingRules(catalog: Catalog, model: CatalogModel): readonly RoutingRule[] {
  // the usual case; a pin wins over all rules
  if (model.rollout === null || model.pin !== null) return none
  const known = rulesOf(model)
  return (known.rules ??= compile(catalog, model, model.rollout, 'canary'))
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
    places: new Map<string, number>(),
    slices: [{ from: 0, to: share, variant: 'candidate' }],
    targets: new Map([['candidate', target]]),
  }
  if (unit === requestUnit) return [{ ...rule, unitOf: (_entity, _row, requestId) => requestId }]
  const column = entityFields(plan).find(({ name }) => name === unit)
  if (column === undefined) return none
  const isKey = plan.keys.some(({ name }) => name === unit)
  return [{ ...rule, unitOf: fieldReader(column, isKey ? 'INVALID_ENTITY' : 'MISSING_REQUEST_VALUE') }]
}

function fieldReader(column: Column, missing: 'INVALID_ENTITY' | 'MISSING_REQUEST_VALUE'): RoutingRule['unitOf'] {
  const { name, type } = column
  return (entity, row) => {
    if (!isRecord(entity)) return null
    const json = Object.hasOwn(entity, name) ? entity[name] : null
    if (typeof json === 'string' && type.kind === 'string') return json
    return canonicalText(type, parseField(entity, column, row, missing))
  }
}

/** The same for all ways in which JSON can have a value: `7` and `"7"` of an int64. */
function canonicalText({ kind }: ValueType, value: Value): string {
  if (kind === 'timestamp' && typeof value === 'number') return formatTimestamp(value)
  // a start refuses units of other types (`isUnitType`)
  return typeof value === 'object' ? '' : String(value)
}
