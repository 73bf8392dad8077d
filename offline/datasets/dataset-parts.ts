import { extname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'

export type PartName = 'train' | 'validation' | 'test'

/** Rows of a spine in [from, to), by their numbers from 0. */
export interface SpineRange {
  readonly from: number
  readonly to: number
}

/**
 * The rows of one file of a training set: those with moments in [from, until), or those in one range of the spine.
 */
export interface DatasetPart {
  /** null: the complete set, or a range of it. */
  readonly name: PartName | null
  /** Epoch microseconds. */
  readonly from: number
  readonly until: number
  /** null: wherever in the spine. */
  readonly range: SpineRange | null
}

/** Ranges of a spine that are as good as equal, in its order, none of them empty unless the spine is. */
export function equalRanges(rows: number, parts: number): SpineRange[] {
  const count = Math.max(1, Math.min(parts, rows))
  const start = (part: number): number => Math.floor((part * rows) / count)
  return Array.from({ length: count }, (_, part) => ({ from: start(part), to: start(part + 1) }))
}

export function partOfRange(range: SpineRange): DatasetPart {
  return { name: null, from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY, range }
}

/**
 * Parts by time: one cut makes `train` and `test`, two make `train`, `validation` and `test`, none the complete set.
 *
 * @param cuts epoch microseconds, ascending
 * @throws LockstepError `USAGE` for more cuts, and for cuts that do not ascend
 */
export function partsByTime(cuts: readonly number[]): DatasetPart[] {
  if (cuts.length > 2)
    throw new LockstepError(
      'USAGE',
      `A training set cannot be split at ${cuts.length} moments; give one (train and test) or two (train, validation and test).`,
    )
  const [first, second] = cuts
  if (first !== undefined && second !== undefined && first >= second) {
    throw new LockstepError(
      'USAGE',
      `The second moment of the split, "${formatTimestamp(second)}", is not later than the first, "${formatTimestamp(first)}". Give the moments in order.`,
    )
  }
  const names = ([[null], ['train', 'test'], ['train', 'validation', 'test']] as const)[cuts.length] ?? []
  const edges = [Number.NEGATIVE_INFINITY, ...cuts, Number.POSITIVE_INFINITY]
  return names.map((name, i) => ({ name, from: edges[i] as number, until: edges[i + 1] as number, range: null }))
}

/** `set.parquet` of the part `train`: `set.train.parquet`. */
export function partPath(out: string, { name }: DatasetPart): string {
  if (name === null) return out
  const ending = extname(out)
  return `${out.slice(0, out.length - ending.length)}.${name}${ending}`
}

/**
 * Which rows of a batch belong to a part, by index; null: all of them.
 *
 * @param first the number of the first row in the spine, from 0
 * @param times of the rows
 * @param missing by row, what it lacks; null: rows are kept whatever they lack
 */
export function rowsOfPart(
  { name, from, until, range }: DatasetPart,
  first: number,
  times: readonly number[],
  missing: readonly (readonly string[])[] | null,
): number[] | null {
  const [start, end] = range === null ? [0, times.length] : [Math.max(0, range.from - first), Math.min(times.length, range.to - first)]
  const isComplete = name === null && start === 0 && end === times.length
  if (isComplete && (missing === null || missing.every((names) => names.length === 0))) return null
  const rows: number[] = []
  for (let row = start; row < end; row++) {
    const time = times[row] as number
    if (time >= from && time < until && (missing === null || missing[row]?.length === 0)) rows.push(row)
  }
  return rows
}
