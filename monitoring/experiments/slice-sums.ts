import type { Value } from '../../kernel/values/value-type.ts'
import type { UnitSums, UnitSummer } from './unit-sums.ts'

export interface SliceEvidence {
  readonly feature: string
  /** null: the units without a value; absent of `others`. */
  readonly value: string | null
  /** The values beyond the first ones, together. */
  readonly others: boolean
  readonly arms: readonly UnitSums[]
}

/** More values of a slice than this are one group. */
const maxSliceValues = 30

/** Sums units in groups by their value of a feature. */
export interface SliceSummer {
  /** @param row as `UnitSummer.add` takes it */
  add(arm: number, value: Value | null, row: ArrayLike<number>): void
  slices(): SliceEvidence[]
}

/** @param create the sums of a group, by variant */
export function createSliceSummer(feature: string, create: () => readonly UnitSummer[]): SliceSummer {
  const groups = new Map<string | null, readonly UnitSummer[]>()

  function groupOf(value: Value | null): readonly UnitSummer[] {
    const text = value === null ? null : textOf(value)
    const key = groups.has(text) || groups.size < maxSliceValues ? text : otherValues
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = create()))
    return group
  }

  return {
    add: (arm, value, row) => groupOf(value)[arm]?.add(row),
    slices: () =>
      [...groups].map(([value, arms]) => ({
        feature,
        value: value === otherValues ? null : value,
        others: value === otherValues,
        arms: arms.map((arm) => arm.sums()),
      })),
  }
}

/** Not a value of any feature: texts of PostgreSQL have no NUL. */
const otherValues = '\0'

function textOf(value: Value): string {
  return typeof value === 'object' ? JSON.stringify(value instanceof Map ? [...value] : value) : String(value)
}
