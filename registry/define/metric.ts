import { didYouMean } from '../../kernel/did-you-mean.ts'
import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { MeasureAggregate, MeasureSpec, MetricRole, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import { measureAggregates } from '../../kernel/specs/experiment-spec.ts'
import type { Column, KeyType, NumberKind } from '../../kernel/values/value-type.ts'
import { show, typeName } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { checkKind, checkOptions, definitionKind } from './definition.ts'
import { checkName } from './names.ts'
import type { Outcome } from './outcome.ts'
import type { Source } from './source.ts'
import type { Types } from './t.ts'

/** A figure of each unit of an experiment. `metric.mean`, `proportion`, `ratio` and `quantile` make it. */
export interface Metric<N extends string = string> {
  readonly kind: 'metric'
  readonly name: N
  /** The sources and outcomes that it reads. */
  readonly of: readonly (Source | Outcome)[]
  readonly spec: UnassignedMetric
}

/** A measure before an experiment says which fields hold the key of its source. */
type UnassignedMeasure = Omit<MeasureSpec, 'of'> & {
  readonly of: { readonly kind: 'source'; readonly source: SourceSpec } | { readonly kind: 'outcome'; readonly outcome: string }
}
type Unassigned<M> = M extends MetricSpec
  ? { readonly [K in Exclude<keyof M, 'role'>]: M[K] extends MeasureSpec ? UnassignedMeasure : M[K] }
  : never
/** A metric without what an experiment gives it: its role, and where keys are. */
type UnassignedMetric = Unassigned<MetricSpec>

type AnySource<C extends Types> = Source<string, Readonly<Record<string, string>>, C>
type ColumnOf<C extends Types, Kind extends string> = { [K in keyof C & string]: C[K]['kind'] extends Kind ? K : never }[keyof C & string]

/** What a unit's rows are summarized to: a column of a source, its rows, or the values of an outcome. */
type Measure<C extends Types = Types, Kind extends string = NumberKind> =
  | {
      readonly of: AnySource<C>
      /** Absent: its rows are counted. */
      readonly column?: NoInfer<ColumnOf<C, Kind>>
      /** Over the rows of a unit. Default: `sum` of a column. */
      readonly aggregate?: MeasureAggregate
    }
  | { readonly of: Outcome; readonly column?: never; readonly aggregate?: MeasureAggregate }

interface MetricOptions {
  /** Rows count from the first exposure of a unit on, for this time: `'7d'`. The unit counts once it has passed. */
  readonly within: string
  /** Greater values of a unit count as `at`. The bound is declared before the experiment starts. */
  readonly winsorize?: { readonly at: number }
  /** Whether each unit counts once (default), or once for each of its exposures. */
  readonly per?: 'unit' | 'exposure'
  /** Default: higher. */
  readonly better?: 'higher' | 'lower'
  /** Of a guardrail: how much worse than the control it may be, as a share: 0.02. Default: 0. */
  readonly margin?: number
}

const common = ['within', 'winsorize', 'per', 'better', 'margin']
const measured = ['of', 'column', 'aggregate', ...common]

/**
 * Metrics of experiments.
 *
 * @example metric.mean('revenue', { of: orders, column: 'amount', within: '7d', winsorize: { at: 500 } })
 * @throws LockstepError `UNKNOWN_COLUMN`, `INVALID_TYPE`, `INVALID_DURATION`, `INVALID_NAME`, `DEFINITIONS_INVALID`
 */
export const metric = {
  /** The mean over units of what their rows sum up to. */
  mean<const N extends string, const C extends Types>(name: N, body: Measure<C> & MetricOptions): Metric<N> {
    const what = begin(name, body, measured)
    return made(name, [body.of], { ...base(name, body, what), kind: 'mean', value: measure(body, numberKinds, what) })
  },
  /** The share of units that have a row; with a column, one whose value is true or not 0. */
  proportion<const N extends string, const C extends Types>(
    name: N,
    body: Measure<C, NumberKind | 'bool'> & Omit<MetricOptions, 'winsorize'>,
  ): Metric<N> {
    const what = begin(
      name,
      body,
      measured.filter((each) => each !== 'winsorize' && each !== 'aggregate'),
    )
    return made(name, [body.of], { ...base(name, body, what), kind: 'proportion', value: measure(body, [...numberKinds, 'bool'], what) })
  },
  /** The sum of a figure over all units by the sum of another: revenue by order, clicks by view. */
  ratio<const N extends string, const C extends Types, const D extends Types>(
    name: N,
    body: { readonly numerator: Measure<C>; readonly denominator: Measure<D> } & MetricOptions,
  ): Metric<N> {
    const what = begin(name, body, ['numerator', 'denominator', ...common])
    const part = (field: 'numerator' | 'denominator'): UnassignedMeasure => {
      const of = `${what}: its ${field}`
      if (typeof body[field] !== 'object') throw invalid(`${of} is ${show(body[field])}; write it as in { of: orders, column: 'amount' }.`)
      checkOptions(body[field], of, ['of', 'column', 'aggregate'])
      return measure(body[field], numberKinds, of)
    }
    const [numerator, denominator] = [part('numerator'), part('denominator')]
    return made(name, [body.numerator.of, body.denominator.of], { ...base(name, body, what), kind: 'ratio', numerator, denominator })
  },
  /** A quantile over units of what their rows sum up to: `quantile: 0.9`. */
  quantile<const N extends string, const C extends Types>(
    name: N,
    body: Measure<C> & { readonly quantile: number } & Omit<MetricOptions, 'winsorize'>,
  ): Metric<N> {
    const what = begin(name, body, ['quantile', ...measured.filter((each) => each !== 'winsorize')])
    const { quantile } = body
    if (typeof quantile !== 'number' || !(quantile > 0 && quantile < 1))
      throw invalid(`${what} has the quantile ${show(quantile)}; write a number between 0 and 1, such as 0.9.`)
    return made(name, [body.of], { ...base(name, body, what), kind: 'quantile', value: measure(body, numberKinds, what), quantile })
  },
}

/**
 * A metric as an experiment uses it.
 *
 * @param keyOf the fields of the experiment's entities that hold the key of a source
 */
export function assigned({ spec }: Metric, role: MetricRole, keyOf: (source: SourceSpec) => readonly Column<KeyType>[]): MetricSpec {
  const shared = { role, margin: role === 'guardrail' ? (spec.margin ?? 0) : null }
  const keyed = ({ of, ...rest }: UnassignedMeasure): MeasureSpec =>
    Object.freeze({ ...rest, of: Object.freeze(of.kind === 'source' ? { ...of, key: keyOf(of.source) } : of) })
  return Object.freeze(
    spec.kind === 'ratio'
      ? { ...spec, ...shared, numerator: keyed(spec.numerator), denominator: keyed(spec.denominator) }
      : { ...spec, ...shared, value: keyed(spec.value) },
  )
}

function made<N extends string>(name: N, of: readonly (Source | Outcome)[], spec: UnassignedMetric): Metric<N> {
  return Object.freeze({ kind: 'metric', name, of: Object.freeze([...of]), spec: Object.freeze(spec) })
}

export function isMetric(value: unknown): value is Metric {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'metric' && 'spec' in value
}

function begin(name: unknown, body: unknown, known: readonly string[]): string {
  const what = `The metric "${checkName(name, 'A metric')}"`
  if (typeof body !== 'object' || body === null) throw invalid(`${what} has no body; its second argument is an object.`)
  checkOptions(body, what, known)
  return what
}

type StatedOptions = { readonly [K in keyof MetricOptions]?: MetricOptions[K] }

function base(
  name: string,
  { within, winsorize, per = 'unit', better = 'higher', margin }: StatedOptions,
  what: string,
): Pick<MetricSpec, 'name' | 'withinMicros' | 'winsorizeAt' | 'per' | 'better' | 'margin'> {
  if (within === undefined) throw invalid(`${what} does not say for how long rows count after the exposure; write within: '7d'.`)
  if (per !== 'unit' && per !== 'exposure') throw invalid(`${what} has per: ${show(per)}; write 'unit' or 'exposure'.`)
  if (better !== 'higher' && better !== 'lower') throw invalid(`${what} has better: ${show(better)}; write 'higher' or 'lower'.`)
  if (margin !== undefined && !(Number.isFinite(margin) && margin >= 0 && margin < 1))
    throw invalid(`${what} has the margin ${show(margin)}; write a share from 0 to 1, such as 0.02.`)
  const at = winsorize?.at
  if (winsorize !== undefined && !(typeof at === 'number' && Number.isFinite(at)))
    throw invalid(`${what} has winsorize: ${show(winsorize)}; write the bound, as in { at: 500 }.`)
  return { name, withinMicros: parseDuration(within, `${what}: its within`), winsorizeAt: at ?? null, per, better, margin: margin ?? null }
}

const numberKinds: readonly string[] = ['int32', 'int64', 'float32', 'float64']

interface StatedMeasure {
  readonly of: Source | Outcome
  readonly column?: string
  readonly aggregate?: MeasureAggregate
}

function measure({ of, column, aggregate }: StatedMeasure, kinds: readonly string[], what: string): UnassignedMeasure {
  checkKind(of, ['source', 'outcome'], `${what}: its "of"`, 'a source or an outcome')
  if (aggregate !== undefined && !measureAggregates.includes(aggregate))
    throw invalid(
      `${what} has the aggregate ${show(aggregate)};${didYouMean(String(aggregate), measureAggregates)} write one of ${measureAggregates.join(', ')}.`,
    )
  if (definitionKind(of) === 'outcome') {
    const { name, type } = of as Outcome
    if (column !== undefined) throw invalid(`${what} is over the outcome "${name}", whose value it takes; remove "column".`)
    if (![...numberKinds, 'bool'].includes(type.kind))
      throw new LockstepError(
        'INVALID_TYPE',
        `${what} is over the outcome "${name}", which is a ${typeName(type)}; a metric needs a number or a bool.`,
      )
    return Object.freeze({ of: Object.freeze({ kind: 'outcome', outcome: name }), aggregate: aggregate ?? 'sum', column: null })
  }
  const { spec } = of as Source
  if (column === undefined && aggregate !== undefined && aggregate !== 'count')
    throw invalid(`${what} has the aggregate "${aggregate}" and no column; add one, or remove the aggregate to count rows.`)
  const found = spec.columns.find(({ name }) => name === column)
  if (column !== undefined && found === undefined) {
    const names = spec.columns.map(({ name }) => name)
    throw new LockstepError(
      'UNKNOWN_COLUMN',
      `${what} takes the column "${column}", which the source "${spec.name}" does not have.${didYouMean(column, names)} Its columns are ${names.join(', ')}.`,
      { details: { source: spec.name, column } },
    )
  }
  if (found !== undefined && !kinds.includes(found.type.kind))
    throw new LockstepError(
      'INVALID_TYPE',
      `${what} takes the column "${found.name}" of ${typeName(found.type)}; it must be ${kinds.includes('bool') ? 'a number or a bool' : 'a number'}.`,
    )
  const source = Object.freeze({ ...spec, columns: Object.freeze(found === undefined ? [] : [found]) })
  return Object.freeze({
    of: Object.freeze({ kind: 'source', source }),
    aggregate: aggregate ?? (column === undefined ? 'count' : 'sum'),
    column: column ?? null,
  })
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
