import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { parseDuration } from '../../kernel/values/duration.ts'
import type { MissingOutcome, OutcomeMatch, OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import { canJudge } from '../../kernel/specs/outcome-spec.ts'
import type { NumberKind, ScalarType, ValueOf } from '../../kernel/values/value-type.ts'
import { isNumeric, isValueOf, show, typeName } from '../../kernel/values/value-type.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { OutcomeOperational } from '../load/definition-set.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { Model } from './model.ts'
import { checkColumnName, checkName } from './names.ts'
import type { Source } from './source.ts'
import { source as makeSource } from './source.ts'
import type { RowOf, Types } from './t.ts'
import { checkColumnType, checkKeyType, t } from './t.ts'

/** What came of the predictions of a model. */
export interface Outcome<N extends string = string, M extends Model = Model, T extends ScalarType = ScalarType> {
  readonly kind: 'outcome'
  readonly name: N
  readonly model: M
  readonly source: Source
  /** The type of its values. */
  readonly type: T
  /** Everything except the hash of the value's code, which is known only after bundling. */
  readonly spec: Omit<OutcomeSpec, 'code'>
  /** Outside the fingerprint: a change needs no new data. */
  readonly operational: OutcomeOperational
  /** The function that computes the value, or null. */
  readonly transform: ((row: never) => unknown) | null
  readonly described: Description
}

interface Judged<M extends Model> extends Description {
  readonly model: M
  /** How long after a prediction its outcome may happen, as in `'12h'`. Then the prediction is mature. */
  readonly within: string
  /**
   * The output of the model that the outcome judges. null: none, as it is of another scale, such as minutes of delay
   * for a probability. Experiments and exports still use it. Default: the only output of the model.
   */
  readonly output?: (keyof M['output'] & string) | null
}

/** What a mature prediction without a row means: a value, or that figures leave it out. */
type Missing<T extends ScalarType> = ValueOf<T> | 'exclude'

/** How a row is matched with its prediction. */
type Matched<T extends ScalarType, C extends Types> =
  | {
      /** A row names its prediction. */
      readonly match: 'prediction'
      /** The string column that holds the prediction's id. */
      readonly predictionId: keyof C & string
      /** Default: `'exclude'`. */
      readonly missing?: NoInfer<Missing<T>>
    }
  | {
      /**
       * A row has the prediction's key, and happened after it. Each part of the source's key is a column of the
       * request.
       */
      readonly match: 'entity'
      /** Which row counts, if several do. Default: the first. */
      readonly take?: 'first' | 'last'
      readonly missing: NoInfer<Missing<T>>
    }

/** What an outcome with a source may have in addition. */
interface Figures<C extends Types> {
  /** Business figures: by name, the numeric column of the source whose mean and total `lockstep quality` shows. */
  readonly figures?: Readonly<Record<string, NumericColumn<C>>>
}

type NumericColumn<C extends Types> = {
  [K in keyof C & string]: C[K]['kind'] extends NumberKind ? K : never
}[keyof C & string]
type ScalarColumn<C extends Types> = { [K in keyof C & string]: C[K] extends ScalarType ? K : never }[keyof C & string]
type TypeOf<C extends Types, V extends keyof C> = C[V] extends infer T extends ScalarType ? T : never

/**
 * Declares an outcome. Without a source, Lockstep creates a table for the outcomes that `POST /v1/outcomes` brings.
 *
 * @example export const chargeback = outcome('chargeback', { model: fraudModel, value: t.bool, within: '60d', missing:
 *   false })
 * @example export const arrivedLate = outcome('arrived_late', { model: delayModel, source: landings,
 *   match: 'prediction', predictionId: 'prediction_id', type: t.bool,
 *   value: (row) => row.delay === null ? null : row.delay > 15, within: '12h' })
 * @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_TYPE`, `INVALID_DURATION`, `INVALID_NAME`, `DEFINITIONS_INVALID`
 */
export function outcome<const N extends string, M extends Model, const T extends ScalarType>(
  name: N,
  body: Judged<M> & { readonly source?: never; readonly value: T; readonly missing?: NoInfer<Missing<T>> },
): Outcome<N, M, T>
export function outcome<const N extends string, M extends Model, const C extends Types, const V extends ScalarColumn<C>>(
  name: N,
  body: Judged<M> & { readonly source: Source<string, Readonly<Record<string, string>>, C>; readonly value: V } & Matched<TypeOf<C, V>, C> &
    Figures<C>,
): Outcome<N, M, TypeOf<C, V>>
export function outcome<const N extends string, M extends Model, const C extends Types, const T extends ScalarType>(
  name: N,
  body: Judged<M> & {
    readonly source: Source<string, Readonly<Record<string, string>>, C>
    /** The type of the value that the function returns. */
    readonly type: T
    /** A pure function of one source row; null: the row says nothing. */
    readonly value: (row: RowOf<C>) => ValueOf<T> | null
  } & Matched<T, C> &
    Figures<C>,
): Outcome<N, M, T>
export function outcome(name: string, body: AnyBody): Outcome {
  const what = `outcome "${checkName(name, 'An outcome')}"`
  checkBody(body, `The ${what}`, [
    'model',
    'source',
    'type',
    'value',
    'match',
    'predictionId',
    'take',
    'within',
    'missing',
    'output',
    'figures',
  ])
  checkKind(body.model, ['model'], `The model of ${what}`, 'a model')
  if (body.within === undefined) throw invalid(what, `does not say how long an outcome may take; write within: '12h'`)
  const withinMicros = parseDuration(body.within, `The within of ${what}`)
  const own = body.source === undefined
  const source = own ? ownSource(name, body, what) : body.source
  checkKind(source, ['source'], `The source of ${what}`, 'a source')
  const { value } = body
  const column = own ? 'value' : typeof value === 'string' ? value : null
  if (column === null && typeof value !== 'function')
    throw invalid(what, `has the value ${show(value)}; name a column of the source, or write a function of its row`)
  const type = valueType(body, source, column, what)
  const spec: Omit<OutcomeSpec, 'code'> = {
    name,
    model: body.model.name,
    source: source.spec,
    match: Object.freeze(own ? { kind: 'prediction', column: 'prediction_id' } : matchOf(body, source, what)),
    type,
    column,
    withinMicros,
    missing: Object.freeze(missingOf(body.missing, type, body.match === 'entity', what)),
    output: outputOf(body, type, what),
  }
  return define({
    kind: 'outcome',
    name,
    model: body.model,
    source,
    type,
    spec: Object.freeze(spec),
    operational: own ? {} : figuresOf(body.figures, body.source, what),
    transform: isFunction(value) ? value : null,
    described: describe(body, `The ${what}`),
  })
}

function isFunction(value: unknown): value is (row: never) => unknown {
  return typeof value === 'function'
}

interface AnyBody extends Description {
  readonly model: Model
  readonly source?: Source | undefined
  readonly type?: unknown
  readonly value: unknown
  readonly match?: unknown
  readonly predictionId?: unknown
  readonly take?: unknown
  readonly within: string
  readonly missing?: unknown
  readonly output?: unknown
  readonly figures?: unknown
}

/** The source of an outcome that has none: a table of Lockstep's, with a row for each outcome that is sent. */
function ownSource(name: string, body: AnyBody, what: string): Source {
  for (const field of ['match', 'predictionId', 'take', 'type', 'figures'] as const)
    if (body[field] !== undefined) throw invalid(what, `has no source, so "${field}" does not apply; add a source, or remove it`)
  if (typeof body.value !== 'object') throw invalid(what, `has no source; add one, or write the type of its values, as in value: t.bool`)
  return makeSource(name, {
    key: { prediction_id: 'prediction_id' },
    eventTime: 'at',
    known: 'known_at',
    columns: { prediction_id: t.string, value: scalarType(body.value, `The value of ${what}`) },
    description: `Outcomes that are sent to POST /v1/outcomes for "${name}"`,
  })
}

function valueType(body: AnyBody, source: Source, column: string | null, what: string): ScalarType {
  if (column === null) return scalarType(body.type, `The type of ${what}`)
  if (body.type !== undefined) throw invalid(what, `has a type and the value "${column}", whose type is known; remove "type"`)
  return scalarType(columnType(source, column, `The value of ${what}`), `The value of ${what}`)
}

const valueKinds: readonly string[] = ['bool', 'int32', 'int64', 'float32', 'float64', 'string']

function scalarType(given: unknown, place: string): ScalarType {
  const type = checkColumnType(given, place)
  if (type.kind !== 'vector' && valueKinds.includes(type.kind)) return type
  throw new LockstepError('INVALID_TYPE', `${place} is ${typeName(type)}; an outcome is a bool, a number or a string.`)
}

function columnType(source: Source, column: unknown, place: string): Types[string] {
  const name = checkColumnName(column, place)
  const found = source.spec.columns.find((each) => each.name === name)
  if (found !== undefined) return found.type
  const names = source.spec.columns.map((each) => each.name)
  throw new LockstepError(
    'UNKNOWN_COLUMN',
    `${place} is the column "${name}", which the source "${source.name}" does not have.${didYouMean(name, names)} Its columns are ${names.join(', ')}.`,
    { details: { source: source.name, column: name } },
  )
}

function matchOf(body: AnyBody, source: Source, what: string): OutcomeMatch {
  if (body.match === 'prediction') {
    if (body.take !== undefined) throw invalid(what, `matches predictions by their ids, so "take" does not apply; remove it`)
    if (body.predictionId === undefined)
      throw invalid(what, `does not say which column holds the prediction's id; write predictionId: 'prediction_id'`)
    const place = `The predictionId of ${what}`
    const column = checkColumnName(body.predictionId, place)
    const type = columnType(source, column, place)
    if (type.kind !== 'string') throw new LockstepError('INVALID_TYPE', `${place} is a column of ${typeName(type)}; it must be a string.`)
    return { kind: 'prediction', column }
  }
  if (body.match !== 'entity') throw invalid(what, `has the match ${show(body.match)}; write match: 'prediction' or match: 'entity'`)
  if (body.predictionId !== undefined) throw invalid(what, `matches by entity, so "predictionId" does not apply; remove it`)
  const take = body.take ?? 'first'
  if (take !== 'first' && take !== 'last') throw invalid(what, `has the take ${show(take)}; write 'first' or 'last'`)
  const { needs, name: service } = body.model.service
  const key = source.spec.key.map(({ part }) => {
    const type = needs[part]
    if (type !== undefined) return Object.freeze({ name: part, type: checkKeyType(type, `The key "${part}" of ${what}`) })
    throw new LockstepError(
      'UNKNOWN_COLUMN',
      `The source "${source.name}" of ${what} has the key "${part}", which is not a column of requests for the service "${service}": ${Object.keys(needs).join(', ')}. Use a source whose key has those names.`,
      { details: { source: source.name, column: part } },
    )
  })
  if (key.length === 0) throw invalid(what, `matches by entity, but the source "${source.name}" has no key; add one`)
  return { kind: 'entity', take, key: Object.freeze(key) }
}

function missingOf(missing: unknown, type: ScalarType, required: boolean, what: string): MissingOutcome {
  if (missing === undefined && required)
    throw invalid(what, `does not say what a prediction without a row means; write missing: false, or missing: 'exclude' to leave it out`)
  if (missing === undefined || missing === 'exclude') return { kind: 'exclude' }
  if (!isValueOf(type, missing))
    throw new LockstepError('INVALID_TYPE', `The missing of ${what} is ${show(missing)}; write a ${typeName(type)}, or 'exclude'.`)
  // of a scalar type: no list and no object
  return { kind: 'value', value: valueToJson(type, missing) as boolean | number | string }
}

function figuresOf(figures: unknown, source: Source, what: string): OutcomeOperational {
  if (figures === undefined) return {}
  if (!isRecord(figures)) throw invalid(what, `has the figures ${show(figures)}; write columns by name, as in figures: { lost: 'amount' }`)
  const named = Object.entries(figures).map(([name, column]): [string, string] => {
    const place = `The figure "${checkName(name, `A figure of ${what}`)}" of ${what}`
    const type = columnType(source, column, place)
    if (!isNumeric(type)) throw new LockstepError('INVALID_TYPE', `${place} is a column of ${typeName(type)}; it must be a number.`)
    return [name, checkColumnName(column, place)]
  })
  if (named.length > maxFigures) throw invalid(what, `has ${named.length} figures; at most ${maxFigures} are kept`)
  return named.length === 0 ? {} : Object.freeze({ figures: Object.freeze(Object.fromEntries(named)) })
}

/** Each group of a quality report has sums by entity for each figure. */
const maxFigures = 8

function outputOf({ model, output, figures }: AnyBody, type: ScalarType, what: string): string | null {
  if (output === null) {
    if (figures === undefined) return null
    throw invalid(what, `judges no output, so no report of quality shows its "figures"; name an output, or remove them`)
  }
  const names = Object.keys(model.output)
  const [only, ...others] = names
  const named = output === undefined && others.length === 0 ? only : output
  const found = typeof named === 'string' && names.includes(named) ? model.output[named] : undefined
  if (typeof named === 'string' && found !== undefined) {
    if (canJudge(type, found)) return named
    throw invalid(
      what,
      `is a ${typeName(type)} and cannot judge the output "${named}" of the model "${model.name}", a ${typeName(found)}; name another output, or write output: null if it judges none`,
    )
  }
  const has = quotedNames(names)
  if (output === undefined)
    throw invalid(
      what,
      `does not say which output of the model "${model.name}" it judges; write output: one of ${has}, or output: null if it judges none`,
    )
  throw invalid(what, `judges the output ${show(output)}, which the model "${model.name}" does not have; it has ${has}`)
}

function invalid(what: string, why: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', `The ${what} ${why}.`)
}
