import type { ServedAs } from '../../monitoring/role.ts'
import type { Slice } from '../../statistics/assign.ts'
import { unitPlace, variantAt } from '../../statistics/assign.ts'
import type { UnitReader } from './unit-reader.ts'

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

/** The target of the first rule that applies to a row; null: none applies. */
export function routingTarget(rules: readonly RoutingRule[], entity: unknown, row: number, requestId: string): RoutingTarget | null {
  for (const rule of rules) {
    const { slices, targets } = rule
    const unit = rule.unitOf(entity, row, requestId)
    const variant = unit === null ? null : (rule.kept?.get(unit) ?? variantAt(slices, placeIn(rule, unit)))
    const target = variant === null ? undefined : targets.get(variant)
    if (target !== undefined) return target
  }
  return null
}

/** The place of the row's unit by the rule of the rollout, which is for all units; undefined: there is none. */
export function placeInRollout(rules: readonly RoutingRule[], entity: unknown, row: number, requestId: string): number | undefined {
  const rule = rules.at(-1)
  const unit = rule === undefined || rule.within !== undefined ? null : rule.unitOf(entity, row, requestId)
  return rule === undefined || unit === null ? undefined : placeIn(rule, unit)
}

/** A hash costs more than the rest of the routing, and the same units come again. */
function placeIn({ salt, within, places }: RoutingRule, unit: string): number {
  const known = places.get(unit)
  if (known !== undefined) return known
  const place = within === undefined || isWithin(within, unit) ? unitPlace(salt, unit) : nowhere
  if (places.size >= maxPlaces) places.clear()
  if (unit.length <= maxKeptLetters) places.set(unit, place)
  return place
}

/** No slice has it. */
const nowhere = 2

function isWithin({ salt, from, to }: NonNullable<RoutingRule['within']>, unit: string): boolean {
  const place = unitPlace(salt, unit)
  return from <= place && place < to
}

/** About 2 MB for each rollout. */
const [maxPlaces, maxKeptLetters] = [20_000, 100]
