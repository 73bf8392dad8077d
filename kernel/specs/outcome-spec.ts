import type { SourceSpec } from './view-spec.ts'
import type { Column, ColumnType, KeyType, ScalarType } from '../values/value-type.ts'

/** An outcome as plain JSON: which rows of a source say what came of the predictions of a model. */
export interface OutcomeSpec {
  readonly name: string
  readonly model: string
  /** Carried within, as a view carries its source. */
  readonly source: SourceSpec
  readonly match: OutcomeMatch
  /** The type of its values. */
  readonly type: ScalarType
  /** The source's column with the value; null: the code computes it. */
  readonly column: string | null
  /** Hash of the stored code, or null. */
  readonly code: string | null
  /** How long after a prediction its outcome may happen. Then the prediction is mature. */
  readonly withinMicros: number
  readonly missing: MissingOutcome
  /** The output of the model that the outcome judges; null: none. */
  readonly output: string | null
}

/** Whether figures can compare an output with an outcome. A vector has the probabilities of no and of yes. */
export function canJudge(outcome: ColumnType, output: ColumnType): boolean {
  if (output.kind === 'vector') return output.length === 2 && outcome.kind !== 'string'
  return (outcome.kind === 'string') === (output.kind === 'string')
}

export type OutcomeMatch =
  /** A row names its prediction. */
  | { readonly kind: 'prediction'; readonly column: string }
  /**
   * The first or last row with the prediction's key that happened after the prediction's `asOf`. A part of the source's
   * key is a column of the request.
   */
  | { readonly kind: 'entity'; readonly take: 'first' | 'last'; readonly key: readonly Column<KeyType>[] }

/** A mature prediction without a row is left out, or has this value (`valueToJson`). */
export type MissingOutcome = { readonly kind: 'exclude' } | { readonly kind: 'value'; readonly value: boolean | number | string }
