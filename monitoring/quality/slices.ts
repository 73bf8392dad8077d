import type { Window } from '../window.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { SliceSpec, SliceSpecs } from '../../kernel/specs/slice-spec.ts'
import { ownSplits } from '../../kernel/specs/slice-spec.ts'
import { quantile } from '../../statistics/calibration.ts'

/** A criterion that splits figures: a field of every prediction, a declared slice, or a column, in bins or by value. */
export type SplitBy =
  /** By its index; rows in none are in the group `(other)`. */
  | { readonly kind: 'period'; readonly name: 'period'; readonly periods: readonly Window[] }
  | { readonly kind: (typeof ownSplits)[number]; readonly name: string }
  | { readonly kind: 'column'; readonly name: string; readonly slice: SliceSpec }

/** A number with more values than this is split into bins. */
const maxNumbers = 20
const quantileBins = 5

/**
 * Parses `version`, the name of a slice or column, or `amount:10|100`, with the edges of bins.
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function parseSplit(text: string, slices: SliceSpecs = {}): SplitBy {
  const kind = ownSplits.find((name) => name === text)
  if (kind !== undefined) return { kind, name: kind }
  const declared = Object.hasOwn(slices, text) ? slices[text] : undefined
  if (declared !== undefined) return { kind: 'column', name: text, slice: declared }
  const [name = '', bins, ...more] = text.split(':')
  const edges = bins === undefined ? null : bins.split('|').map((edge) => (edge.trim() === '' ? Number.NaN : Number(edge)))
  const isRising = edges === null || edges.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > (edges[i - 1] as number)))
  if (name === '' || more.length > 0 || !isRising) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `Figures cannot be split by "${text}"; write version, role, day, a declared slice, a key column or a feature, or bins of a feature with rising edges, as in amount:10|100.`,
      { details: { by: text } },
    )
  }
  return { kind: 'column', name, slice: { column: name, ...(edges === null ? {} : { at: edges }) } }
}

/** The label of the part that a value falls into. */
export type Labelling = (value: unknown) => string

/** The label of rows in no group of a slice, or beyond the groups that are kept. */
export const otherLabel = '(other)'

/**
 * By the groups or bins of a slice, or else by value; a number with many values by its bins of equal mass.
 *
 * @param first the first values of the column
 */
export function labellingOf({ at: edges, values }: Omit<SliceSpec, 'column'>, first: readonly unknown[]): Labelling {
  if (values !== undefined) {
    const labels = new Map(
      Object.entries(values).flatMap(([label, members]) => members.map((member) => [valueLabel(member), label] as const)),
    )
    return (value) => labels.get(valueLabel(value)) ?? otherLabel
  }
  const numbers = first.filter((value) => typeof value === 'number' && Number.isFinite(value)) as number[]
  const isWide = edges === undefined && new Set(numbers).size > maxNumbers
  const used = edges ?? (isWide ? quantileEdges(numbers) : null)
  if (used === null) return valueLabel
  return (value) => {
    const number = typeof value === 'string' || typeof value === 'bigint' ? Number(value) : value
    return typeof number === 'number' && !Number.isNaN(number) ? binLabel(used, number) : valueLabel(value)
  }
}

function quantileEdges(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b)
  const edges = Array.from({ length: quantileBins - 1 }, (_, i) => quantile(sorted, (i + 1) / quantileBins))
  return [...new Set(edges.map((edge) => Number(edge.toPrecision(4))))]
}

/** A bin covers its upper edge, not its lower one. */
function binLabel(edges: readonly number[], value: number): string {
  const above = edges.findIndex((edge) => value <= edge)
  if (above === 0) return `<= ${edges[0]}`
  return above < 0 ? `> ${edges.at(-1)}` : `${edges[above - 1]} to ${edges[above]}`
}

export function valueLabel(value: unknown): string {
  if (typeof value === 'string') return value
  return typeof value === 'bigint' ? value.toString() : (JSON.stringify(value) ?? 'null')
}
