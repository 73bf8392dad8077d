import { formatDuration } from '../../kernel/values/duration.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import { typeName } from '../../kernel/values/value-type.ts'

/** An outcome for people and programs; plain JSON. */
export interface OutcomeDetails {
  readonly model: string
  /** The output of the model that it judges; null: none. */
  readonly output: string | null
  readonly source: string
  readonly type: string
  /** The column with its value; null: a function computes it. */
  readonly column: string | null
  /** How a row finds its prediction: `prediction_id has the prediction's id`, `first row of card after it`. */
  readonly match: string
  /** `12h` */
  readonly within: string
  /** What a mature prediction without a row means: `exclude`, or a value. */
  readonly missing: boolean | number | string
  /** Business figures: by name, the column. */
  readonly figures: Readonly<Record<string, string>>
}

export function outcomeDetails(
  { model, output, source, type, column, match, withinMicros, missing }: OutcomeSpec,
  figures: OutcomeDetails['figures'],
): OutcomeDetails {
  return {
    model,
    output,
    source: source.name,
    type: typeName(type),
    column,
    match:
      match.kind === 'prediction'
        ? `column ${match.column} has the prediction's id`
        : `${match.take} row of ${match.key.map(({ name }) => name).join(', ')} after the prediction`,
    within: formatDuration(withinMicros),
    missing: missing.kind === 'exclude' ? 'exclude' : missing.value,
    figures,
  }
}
