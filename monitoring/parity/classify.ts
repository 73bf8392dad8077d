import { ByteWriter } from '../../kernel/values/binary.ts'
import { Status } from '../../kernel/states/state.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import type { Value, ValueType } from '../../kernel/values/value-type.ts'
import type { RowSet } from '../../offline/counterfactual.ts'

/**
 * How a served value compares with the one that is computed from the offline history:
 *
 * - `equal`: it is the same, or lacks only rows that became visible within the grace period
 * - `tie`: it is that of another row with the same event and known time
 * - `ttl`: one of the two has exceeded its maximum age, and the other has not
 * - `stale`: it lacks rows that were committed when it was served, and had been visible for longer than the grace
 *   period
 * - `late`: it lacks rows that arrived after it was served, but claim an earlier time
 * - `erased`: it is not that of its rows, but rows of its sources were erased since, and may have been among them. So
 *   it cannot be compared
 * - `other`: it has none of these causes
 */
export const verdicts = ['equal', 'tie', 'ttl', 'stale', 'late', 'erased', 'other'] as const
export type Verdict = (typeof verdicts)[number]

/** The verdicts of values that differ from the history. */
export const differences = ['tie', 'ttl', 'stale', 'late', 'other'] as const satisfies readonly Exclude<Verdict, 'equal' | 'erased'>[]

/** How many of the values that a verdict was given to could be compared, and how many of these differ. */
export function countValues(counts: Readonly<Record<Verdict, number>>): { readonly compared: number; readonly differing: number } {
  const differing = differences.reduce((sum, verdict) => sum + counts[verdict], 0)
  return { compared: differing + counts.equal, differing }
}

/** The value of one feature, and its status. */
export interface FeatureAnswer {
  readonly value: Value | null
  readonly status: Status
}

/** The answer of one feature for each row set; null where the service's code fails on those rows. */
export type FeatureAnswers = Readonly<Record<RowSet, FeatureAnswer | null>>

/** @param mayHaveErased whether rows of the feature's sources were erased since it was served */
export function classify(type: ValueType, logged: FeatureAnswer, answers: FeatureAnswers, mayHaveErased: boolean): Verdict {
  const isSame = (answer: FeatureAnswer | null): boolean => answer !== null && sameAnswer(type, logged, answer)
  const isOfFrontier = isSame(answers.frontier)
  if (isSame(answers.all) || (isOfFrontier && isSame(answers.expected))) return 'equal'
  if (isSame(answers.allReversed) || (!isOfFrontier && isSame(answers.frontierReversed))) return 'tie'
  if (!isOfFrontier && mayHaveErased) return 'erased'
  const expected = expectedAnswer(type, logged, answers)
  if (expected !== null && isOverAge(logged) !== isOverAge(expected)) return 'ttl'
  if (!isOfFrontier) return 'other'
  return isSame(answers.committed) ? 'late' : 'stale'
}

/**
 * What the logged value should have been: where it is right for the rows of its frontier, the value with the rows that
 * it lacks; else the value of its frontier.
 */
export function expectedAnswer(type: ValueType, logged: FeatureAnswer, { frontier, expected }: FeatureAnswers): FeatureAnswer | null {
  return frontier !== null && sameAnswer(type, logged, frontier) ? expected : frontier
}

function isOverAge({ status }: FeatureAnswer): boolean {
  return status === Status.outsideMaxAge
}

export function sameAnswer(type: ValueType, a: FeatureAnswer, b: FeatureAnswer): boolean {
  return a.status === b.status && sameValue(type, a.value, b.value)
}

const [first, second] = [new ByteWriter(), new ByteWriter()]

/** To the bit; NaN equals NaN. */
function sameValue(type: ValueType, a: Value | null, b: Value | null): boolean {
  const { write } = valueCodec(type)
  first.reset()
  second.reset()
  write(first, a)
  write(second, b)
  return first.view().equals(second.view())
}
