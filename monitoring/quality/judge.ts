import { LockstepError } from '../../kernel/errors.ts'
import { canJudge } from '../../kernel/specs/outcome-spec.ts'
import type { Column, ColumnType } from '../../kernel/values/value-type.ts'

/** The kind of an outcome: yes or no, a number, or a class. It decides which figures there are. */
export type OutcomeKind = 'binary' | 'number' | 'category'

/** How an output and an outcome become what figures compare. */
export interface Judge {
  readonly kind: OutcomeKind
  /** The output that is judged. */
  readonly output: string
  /** Whether that output is a decision and no score. */
  readonly decides: boolean
  readonly threshold: number
  /** null: the value cannot be judged. */
  score(value: unknown): number | string | null
  outcome(value: unknown): number | string | null
}

export interface JudgeOptions {
  readonly model: string
  readonly output: Column
  readonly outcomeType: ColumnType
  readonly threshold: number
  /** The first outcomes: numbers that are all 0 or 1 mean no and yes. */
  readonly first: readonly unknown[]
}

/** @throws LockstepError `INVALID_REQUEST` where no output can be judged by the outcome */
export function createJudge(options: JudgeOptions): Judge {
  const { outcomeType, first, threshold } = options
  const { name: output, type } = options.output
  const isText = outcomeType.kind === 'string'
  const values = first.map(numberOf).filter((value) => value !== null)
  const isBinary = outcomeType.kind === 'bool' || (!isText && values.length > 0 && values.every((value) => value === 0 || value === 1))
  const kind = isText ? 'category' : isBinary ? 'binary' : 'number'
  if (!canJudge(outcomeType, type) || (type.kind === 'vector' && kind !== 'binary')) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The output "${output}" of model "${options.model}" is ${typeText(type)}, and its outcome ${typeText(outcomeType)}; name another output.`,
      { details: { model: options.model, output } },
    )
  }
  return {
    kind,
    output,
    decides: ['bool', 'int32', 'int64'].includes(type.kind),
    threshold,
    score: kind === 'category' ? textOf : type.kind === 'vector' ? secondOf : numberOf,
    outcome: kind === 'category' ? textOf : kind === 'binary' ? labelOf : numberOf,
  }
}

function typeText(type: ColumnType): string {
  return type.kind === 'vector' ? `a vector of ${type.length}` : `a ${type.kind}`
}

/** A value in memory or from JSON as a number; NaN and infinities cannot be judged. */
function numberOf(value: unknown): number | null {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value !== 'number' && typeof value !== 'bigint' && typeof value !== 'string') return null
  const number = value === '' ? Number.NaN : Number(value)
  return Number.isFinite(number) ? number : null
}

function labelOf(value: unknown): number | null {
  const number = numberOf(value)
  return number === 0 || number === 1 ? number : null
}

/** The probability of yes, the second of two. */
function secondOf(value: unknown): number | null {
  return Array.isArray(value) || value instanceof Float32Array ? numberOf(value[1]) : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
