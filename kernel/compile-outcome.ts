import { LockstepError, messageOf } from './errors.ts'
import { show } from './value-type.ts'
import type { OutcomeSpec } from './outcome-spec.ts'
import type { LoadTransform } from './transform.ts'
import type { Column, Value } from './value-type.ts'
import { isValueOf, typeName } from './value-type.ts'
import { valueFromJson } from './value-json.ts'

/** A compiled outcome. */
export interface OutcomePlan {
  readonly spec: OutcomeSpec
  readonly fingerprint: string
  /** The columns of the source that `valueOf` takes. */
  readonly columns: readonly Column[]
  /**
   * The value of a row, by its `columns`; null: the row says nothing.
   *
   * @throws LockstepError `TRANSFORM_FAILED` if the code throws or returns another type
   */
  readonly valueOf: (values: readonly (Value | null)[]) => Value | null
  /** What a mature prediction without a row has; null: it is left out. */
  readonly missing: Value | null
}

export function compileOutcome(spec: OutcomeSpec, fingerprint: string, code: string | null, load: LoadTransform): OutcomePlan {
  const { name, source, type, column } = spec
  const missing = spec.missing.kind === 'exclude' ? null : valueFromJson(type, spec.missing.value, `The "missing" of outcome "${name}"`)
  if (column !== null) {
    const columns = source.columns.filter((each) => each.name === column)
    if (columns.length === 0) throw new LockstepError('UNKNOWN_COLUMN', `The outcome "${name}" has no column "${column}"; apply it again.`)
    return { spec, fingerprint, columns, missing, valueOf: ([value = null]) => value }
  }
  const transform = load(code ?? '', name) as (row: object) => unknown
  const { columns } = source
  return {
    spec,
    fingerprint,
    columns,
    missing,
    valueOf(values) {
      let value: unknown
      try {
        value = transform(Object.fromEntries(columns.map((each, i) => [each.name, values[i] ?? null])))
      } catch (cause) {
        throw failed(name, `throws for a row of the source "${source.name}": ${messageOf(cause)}`, cause)
      }
      if (value === null) return null
      const canonical = type.kind === 'float32' && typeof value === 'number' ? Math.fround(value) : value
      if (!isValueOf(type, canonical)) throw failed(name, `returned ${show(value)}, which is not ${typeName(type)}`)
      return Object.is(canonical, -0) ? 0 : canonical
    },
  }
}

function failed(name: string, what: string, cause?: unknown): LockstepError {
  return new LockstepError('TRANSFORM_FAILED', `The value of outcome "${name}" ${what}. Correct it and apply it again.`, { cause })
}
