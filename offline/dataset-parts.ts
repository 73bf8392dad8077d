import { extname } from 'node:path'
import { LockstepError } from '../kernel/errors.ts'
import { formatTimestamp } from '../kernel/time.ts'

export type PartName = 'train' | 'validation' | 'test'

/** The rows of a training set whose moments are in [from, until): a file of their own. */
export interface DatasetPart {
  /** null: the whole set. */
  readonly name: PartName | null
  /** Epoch microseconds. */
  readonly from: number
  readonly until: number
}

/**
 * Parts by time: one cut makes `train` and `test`, two make `train`, `validation` and `test`, none the whole set.
 *
 * @param cuts epoch microseconds, ascending
 * @throws LockstepError `USAGE` for more cuts, and for cuts that do not ascend
 */
export function partsOf(cuts: readonly number[]): DatasetPart[] {
  if (cuts.length > 2)
    throw new LockstepError(
      'USAGE',
      `A training set is split at ${cuts.length} moments; give one (train and test) or two (train, validation and test).`,
    )
  const [first, second] = cuts
  if (first !== undefined && second !== undefined && first >= second) {
    throw new LockstepError(
      'USAGE',
      `A training set is split at "${formatTimestamp(first)}" and "${formatTimestamp(second)}", which is not later; give the moments in order.`,
    )
  }
  const names = ([[null], ['train', 'test'], ['train', 'validation', 'test']] as const)[cuts.length] ?? []
  const edges = [Number.NEGATIVE_INFINITY, ...cuts, Number.POSITIVE_INFINITY]
  return names.map((name, i) => ({ name, from: edges[i] as number, until: edges[i + 1] as number }))
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
 * @param times of the rows
 * @param missing by row, what it lacks; null: rows are kept whatever they lack
 */
export function rowsOfPart(
  { name, from, until }: DatasetPart,
  times: readonly number[],
  missing: readonly (readonly string[])[] | null,
): number[] | null {
  if (name === null && (missing === null || missing.every((names) => names.length === 0))) return null
  const rows: number[] = []
  for (let row = 0; row < times.length; row++) {
    const time = times[row] as number
    if (time >= from && time < until && (missing === null || missing[row]?.length === 0)) rows.push(row)
  }
  return rows
}
