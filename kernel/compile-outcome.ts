import { LockstepError, messageOf } from './errors.ts'
import type { OutcomeSpec } from './specs/outcome-spec.ts'
import type { LoadTransform } from './transform.ts'
import type { Column, Value } from './values/value-type.ts'
import { isNumeric, isValueOf, show, typeName } from './values/value-type.ts'
import { valueFromJson } from './values/value-json.ts'

/** A business figure. */
export interface OutcomeFigure {
  readonly name: string
  /** Index of its column among those that are read. */
  readonly column: number
}

interface StoredOutcome {
  readonly spec: OutcomeSpec
  readonly fingerprint: string
  /** The stored code of the value; null: a column has it. */
  readonly code: string | null
  readonly load: LoadTransform
  /** Business figures: by name, the source's column. */
  readonly figures: Readonly<Record<string, string>>
}

/** A compiled outcome. */
export interface OutcomePlan {
  readonly spec: OutcomeSpec
  readonly fingerprint: string
  /** The columns of the source that are read: first those that `valueOf` takes. */
  readonly columns: readonly Column[]
  readonly figures: readonly OutcomeFigure[]
  /**
   * The value of a row, by its `columns`; null: the row says nothing.
   *
   * @throws LockstepError `TRANSFORM_FAILED` if the code throws or returns another type
   */
  readonly valueOf: (values: readonly (Value | null)[]) => Value | null
  /** The value of a mature prediction without a row; null: it is left out. */
  readonly missing: Value | null
}

/** @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_TYPE` */
export function compileOutcome({ spec, fingerprint, code, load, figures }: StoredOutcome): OutcomePlan {
  const { name, source, type, column } = spec
  const missing = spec.missing.kind === 'exclude' ? null : valueFromJson(type, spec.missing.value, `The "missing" of outcome "${name}"`)
  if (column !== null) {
    const columns = source.columns.filter((each) => each.name === column)
    if (columns.length === 0) throw new LockstepError('UNKNOWN_COLUMN', `The outcome "${name}" has no column "${column}"; apply it again.`)
    return { spec, fingerprint, missing, ...withFigures(spec, columns, figures), valueOf: ([value = null]) => value }
  }
  const transform = load(code ?? '', name) as (row: object) => unknown
  const { columns } = source
  return {
    spec,
    fingerprint,
    missing,
    ...withFigures(spec, columns, figures),
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

function withFigures(
  { name, source }: OutcomeSpec,
  ofValue: readonly Column[],
  figures: Readonly<Record<string, string>>,
): Pick<OutcomePlan, 'columns' | 'figures'> {
  const columns = [...ofValue]
  const found = Object.entries(figures).map(([figure, wanted]): OutcomeFigure => {
    const known = columns.findIndex((each) => each.name === wanted)
    if (known >= 0) return { name: figure, column: known }
    const column = source.columns.find((each) => each.name === wanted)
    if (column === undefined)
      throw new LockstepError('UNKNOWN_COLUMN', `The figure "${figure}" of outcome "${name}" has no column "${wanted}"; apply it again.`)
    return { name: figure, column: columns.push(column) - 1 }
  })
  const other = found.find(({ column }) => !isNumeric((columns[column] as Column).type))
  if (other === undefined) return { columns, figures: found }
  throw new LockstepError('INVALID_TYPE', `The figure "${other.name}" of outcome "${name}" is not a number; apply it again.`)
}

function failed(name: string, what: string, cause?: unknown): LockstepError {
  return new LockstepError('TRANSFORM_FAILED', `The value of outcome "${name}" ${what}. Correct it and apply it again.`, { cause })
}
