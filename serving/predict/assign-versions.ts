import type { ServedAs } from '../../monitoring/role.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import type { ModelHost } from '../models/model-host.ts'
import type { Bypass } from '../rollouts/bypass.ts'
import type { RoutingRule, RoutingTarget } from '../rollouts/routing-rule.ts'
import { placeInRollout, routingTarget } from '../rollouts/routing-rule.ts'
import { routingRules } from '../rollouts/routing-rules.ts'

/** Rows of a request that one version of the model serves. */
export interface VersionAssignment extends ServedAs {
  /** undefined: the version that serves requests by default. */
  readonly version: VersionReference | undefined
  /** Indexes of the rows in the request, ascending. */
  readonly rows: readonly number[]
  /** The place of the first row's unit in the model's rollout; undefined: none routed it. */
  readonly place?: number | undefined
}

/** The part of a request that decides its routing. */
interface RoutedRequest {
  readonly model: string
  readonly version?: VersionReference | undefined
  readonly entities: readonly unknown[]
  readonly caller: { readonly requestId: string }
}

/**
 * Which version serves which rows of a request: every row has exactly one. All rows have the version that the request
 * names. If it names none, each row is routed by the model's rules, and what no rule covers goes to the version that
 * serves by default. All of it comes from one catalog, so no request is served by two routing states.
 *
 * @throws LockstepError `INVALID_ENTITY` or `MISSING_REQUEST_VALUE` if a row lacks the field that the rules use
 */
export function assignVersions(
  request: RoutedRequest,
  catalog: Catalog,
  models: Pick<ModelHost, 'failureOf'>,
  bypass: Pick<Bypass, 'isBypassed' | 'isActive'>,
): readonly VersionAssignment[] {
  const { version, entities } = request
  if (version !== undefined) return [assigned({ ...byDefault, version, role: 'requested' }, allRows(entities.length))]
  const model = catalog.models.get(request.model)
  const rules = model === undefined ? [] : routingRules(catalog, model)
  return rules.length === 0 ? [assigned(byDefault, allRows(entities.length))] : route(request, rules, models, bypass)
}

type Target = Omit<VersionAssignment, 'rows' | 'place'>
const byDefault: Target = { version: undefined, role: 'champion', experiment: null, variant: null, bypassed: undefined }

/** All assignments have one hidden class. */
function assigned({ version, role, experiment, variant, bypassed }: Target, rows: readonly number[], place?: number): VersionAssignment {
  return { version, rows, place, role, experiment, variant, bypassed }
}

/** Rows of a candidate that failed, for the version that serves by default. */
export function championInstead(candidate: VersionAssignment): VersionAssignment {
  return assigned(defaultFor(candidate, Number(candidate.version)), candidate.rows, candidate.place)
}

/**
 * The version that serves by default, in place of another one. A row of an experiment keeps its variant: units whose
 * variant fails must not leave it, or the rest would no longer be comparable with the other variants.
 *
 * @param bypassed the version that failed; undefined: this server has not loaded it
 */
function defaultFor({ experiment, variant }: Pick<Target, 'experiment' | 'variant'>, bypassed: number | undefined): Target {
  return { ...byDefault, experiment, variant, bypassed }
}

function allRows(count: number): number[] {
  const rows = new Array<number>(count)
  for (let row = 0; row < count; row++) rows[row] = row
  return rows
}

function route(
  { model, entities, caller }: RoutedRequest,
  rules: readonly RoutingRule[],
  models: Pick<ModelHost, 'failureOf'>,
  bypass: Pick<Bypass, 'isBypassed' | 'isActive'>,
): readonly VersionAssignment[] {
  /** By version, for this request: a version is probed with all rows of a request or with none. */
  let bypassed: Map<number, boolean> | null = null
  const isBypassed = (version: number): boolean => {
    let known = bypassed?.get(version)
    if (known === undefined) (bypassed ??= new Map()).set(version, (known = bypass.isBypassed(model, version)))
    return known
  }
  /** One object for each target, as rows are grouped by it. */
  let replaced: Map<Target, Target> | null = null
  const inPlace = (target: RoutingTarget, failed: number | undefined): Target => {
    let known = replaced?.get(target)
    if (known === undefined) (replaced ??= new Map()).set(target, (known = defaultFor(target, failed)))
    return known
  }
  const targetAt = (row: number): Target => {
    const target = routingTarget(rules, entities[row], row, caller.requestId)
    if (target === null) return byDefault
    // a version that this server cannot load must not fail requests
    if (models.failureOf(model, target.version) !== undefined) return inPlace(target, undefined)
    return bypass.isActive && isBypassed(target.version) ? inPlace(target, target.version) : target
  }
  // a row of an experiment may lack the field that the rollout uses
  const assignedTo = (target: Target, rows: readonly number[]): VersionAssignment => {
    const first = rows[0] as number
    const place = target.experiment === null ? placeInRollout(rules, entities[first], first, caller.requestId) : undefined
    return assigned(target, rows, place)
  }
  if (entities.length === 1) return [assignedTo(targetAt(0), [0])]
  const rowsOf = new Map<Target, number[]>()
  for (let row = 0; row < entities.length; row++) {
    const takes = targetAt(row)
    const rows = rowsOf.get(takes)
    if (rows === undefined) rowsOf.set(takes, [row])
    else rows.push(row)
  }
  return Array.from(rowsOf, ([target, rows]) => assignedTo(target, rows))
}
