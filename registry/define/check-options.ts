import { nearest } from '../../kernel/did-you-mean.ts'
import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { show } from '../../kernel/values/value-type.ts'

interface DurationOption {
  readonly is: 'duration'
  readonly least: string
  readonly most: string
  /** Absent: the option may be absent. */
  readonly default?: string
}

interface NumberOption {
  readonly is: 'number'
  readonly min: number
  readonly max: number
  readonly whole?: true
  readonly default?: number
}

/** Names of features; of the check `predictions`, of outputs. */
interface ColumnsOption {
  readonly is: 'columns'
}

interface BaselineOption {
  readonly is: 'baseline'
  readonly default: 'training'
}

interface NameOption {
  readonly is: 'name'
}

interface ChoiceOption {
  readonly is: 'choice'
  readonly of: readonly string[]
}

type Option = NameOption | ChoiceOption | DurationOption | NumberOption | ColumnsOption | BaselineOption

/** What a window of served rows is compared with. */
export type StatedBaseline =
  | 'training'
  | 'same-hour-yesterday'
  | 'same-hour-last-week'
  | { readonly previous: string }
  /** The id of a training set, or how it begins. */
  | { readonly dataset: string }

/**
 * The options of each kind of check, which `monitoring/alerts/checks/` evaluates. It has no schema of zod, so that
 * definitions files load without it.
 */
const checkOptions = {
  freshness: {
    /** How far a view may be behind its source, in place of its declared freshness. */
    maxLag: { is: 'duration', least: '1s', most: '365d' },
    /** How old the newest event of a view's source may be. */
    maxAge: { is: 'duration', least: '1s', most: '365d' },
  },
  parity: {
    /** The share of feature values that may differ from the history. */
    budget: { is: 'number', min: 0, max: 1, default: 0 },
    /** How many logged vectors of the window are recomputed. */
    vectors: { is: 'number', min: 1, max: 10_000, whole: true, default: 200 },
  },
  errors: {
    /** The share of requests that must not fail by a fault of the server. */
    objective: { is: 'number', min: 0.5, max: 0.999999, default: 0.999 },
    /** Fewer errors in the longer window never breach. */
    minErrors: { is: 'number', min: 1, max: 1_000_000, whole: true, default: 10 },
  },
  latency: {
    /** The share of requests that must be fast enough. */
    quantile: { is: 'number', min: 0.5, max: 0.999, default: 0.95 },
    /** How many times as long as usual they may take. */
    factor: { is: 'number', min: 1.1, max: 100, default: 1.5 },
    /** How long they may take, in place of a comparison with what is usual. */
    max: { is: 'duration', least: '1ms', most: '10m' },
    /** Fewer requests in 15 minutes are too few. */
    minRequests: { is: 'number', min: 20, max: 1_000_000, whole: true, default: 200 },
  },
  traffic: {
    /** How many scales from the usual count breach. */
    score: { is: 'number', min: 2, max: 100, default: 4 },
    /** The least fall that breaches; a rise must be as large as what undoes it. */
    minChange: { is: 'number', min: 0.05, max: 0.95, default: 0.4 },
    /** How many weeks of history are compared. */
    weeks: { is: 'number', min: 3, max: 8, whole: true, default: 4 },
  },
  arrivals: {
    /** How many times as long as the longest silence of the last days a source may be silent. */
    factor: { is: 'number', min: 1.1, max: 100, default: 3 },
    /** A shorter silence never breaches. */
    min: { is: 'duration', least: '1m', most: '30d', default: '15m' },
  },
  nulls: {
    baseline: { is: 'baseline', default: 'training' },
    /** Absent: all features. */
    columns: { is: 'columns' },
    /** By how much the share of rows without a value must rise at least. */
    minRise: { is: 'number', min: 0.001, max: 1, default: 0.05 },
    /** How many times the share of the baseline it must be at least. */
    factor: { is: 'number', min: 1, max: 1000, default: 2 },
    /** The chance of a false alarm in a week, over all columns. */
    alpha: { is: 'number', min: 1e-6, max: 0.5, default: 0.01 },
  },
  drift: {
    baseline: { is: 'baseline', default: 'training' },
    /** Absent: all features. */
    columns: { is: 'columns' },
    /** The chance of a false alarm in a week, over all columns. */
    alpha: { is: 'number', min: 1e-6, max: 0.5, default: 0.01 },
    /** The least PSI above what chance gives. */
    minPsi: { is: 'number', min: 0.001, max: 10, default: 0.1 },
  },
  predictions: {
    baseline: { is: 'baseline', default: 'training' },
    /** Absent: all outputs. */
    columns: { is: 'columns' },
    /** The chance of a false alarm in a week, over all columns. */
    alpha: { is: 'number', min: 1e-6, max: 0.5, default: 0.01 },
    /** The least PSI above what chance gives. */
    minPsi: { is: 'number', min: 0.001, max: 10, default: 0.1 },
  },
  quality: {
    /** The name of an outcome. Absent: all outcomes of the model. */
    outcome: { is: 'name' },
    /** With `min` or `max`. Absent: figures are compared with earlier ones, and with the AUC of the pushed version. */
    figure: {
      is: 'choice',
      of: ['auc', 'logLoss', 'brier', 'accuracy', 'precision', 'recall', 'f1', 'positives', 'calibrationError', 'rmse', 'mae', 'bias'],
    },
    min: { is: 'number', min: -1e300, max: 1e300 },
    max: { is: 'number', min: -1e300, max: 1e300 },
    /** The chance of a false alarm in a week, of each figure. */
    alpha: { is: 'number', min: 1e-6, max: 0.5, default: 0.01 },
    /** How many logged predictions are read at most. */
    maxRows: { is: 'number', min: 1000, max: 10_000_000, whole: true, default: 200_000 },
  },
  jobs: {
    /** How long a step may wait for a worker. */
    maxWait: { is: 'duration', least: '1m', most: '30d', default: '10m' },
    /** How long a step may run without progress. */
    maxStall: { is: 'duration', least: '1m', most: '30d', default: '30m' },
  },
  clock: {
    /** How far a clock may differ from that of the database. */
    maxOffset: { is: 'duration', least: '10ms', most: '1d', default: '2s' },
  },
  rollouts: {
    /** How long the controller may hold a rollout. A shorter hold often ends without a person. */
    maxHold: { is: 'duration', least: '1s', most: '30d', default: '5m' },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Option>>>>

type AllOptions = typeof checkOptions
export type CheckKindName = keyof AllOptions
type ValueOf<O> = O extends { readonly is: 'number' }
  ? number
  : O extends { readonly is: 'columns' }
    ? readonly string[]
    : O extends { readonly is: 'baseline' }
      ? StatedBaseline
      : string

/** A check as a definitions file writes it. */
export type StatedCheck = {
  [K in CheckKindName]: { readonly kind: K } & { readonly [O in keyof AllOptions[K]]?: ValueOf<AllOptions[K][O]> }
}[CheckKindName]

/** A check with all of its options. */
export type CheckSpec = { [K in CheckKindName]: CheckOf<K> }[CheckKindName]
export type CheckOf<K extends CheckKindName> = { readonly kind: K } & {
  readonly [O in keyof AllOptions[K] as AllOptions[K][O] extends { readonly default: unknown } ? O : never]: ValueOf<AllOptions[K][O]>
} & {
  readonly [O in keyof AllOptions[K] as AllOptions[K][O] extends { readonly default: unknown } ? never : O]?: ValueOf<AllOptions[K][O]>
}

export const checkKinds = Object.keys(checkOptions) as readonly CheckKindName[] // the keys of the object above

/**
 * Reads a check, and adds the defaults of its options.
 *
 * @param what `The monitor "delay_inputs"`
 * @throws LockstepError `DEFINITIONS_INVALID`
 */
export function checkOf(given: unknown, what: string): CheckSpec {
  const stated = isRecord(given) ? given : {}
  const kind = checkKinds.find((each) => each === stated['kind'])
  if (kind === undefined) {
    const meant = typeof stated['kind'] === 'string' ? nearest(stated['kind'], checkKinds) : null
    const hint = meant === null ? '' : ` Did you mean "${meant}"?`
    throw invalid(
      `${what} has a check of kind ${show(stated['kind'])}, which does not exist.${hint} The kinds are ${checkKinds.join(', ')}.`,
    )
  }
  const options: Readonly<Record<string, Option>> = checkOptions[kind]
  const names = Object.keys(options)
  const unknown = Object.keys(stated).find((each) => each !== 'kind' && !names.includes(each))
  if (unknown !== undefined)
    throw invalid(`${what} has the option "${unknown}" in its check "${kind}", which does not exist. Its options are ${names.join(', ')}.`)
  const values = Object.entries(options).flatMap(([name, option]) => {
    const value = stated[name] ?? ('default' in option ? option.default : undefined)
    if (value === undefined) return []
    const wanted = wantedOf(option, value)
    if (wanted !== null) throw invalid(`${what} has ${name}: ${show(value)} in its check "${kind}"; write ${wanted}.`)
    return [[name, value] as const]
  })
  const { figure, min, max } = stated
  if (kind === 'quality' && (figure === undefined) !== (min === undefined && max === undefined))
    throw invalid(
      `${what} has a check "quality" with ${figure === undefined ? 'a limit but no figure' : 'a figure but no limit'}; write both, as in { kind: 'quality', figure: 'auc', min: 0.7 }.`,
    )
  return Object.freeze({ kind, ...Object.fromEntries(values) }) as unknown as CheckSpec // each option was checked above
}

/** What a value must be; null: it is that. */
function wantedOf(option: Option, value: unknown): string | null {
  switch (option.is) {
    case 'duration': {
      const { least, most } = option
      const micros = typeof value === 'string' ? microsOf(value) : null
      return micros !== null && micros >= parseDuration(least) && micros <= parseDuration(most)
        ? null
        : `a duration from ${least} to ${most}, such as '10m'`
    }
    case 'number': {
      const { min, max, whole } = option
      const fits = typeof value === 'number' && value >= min && value <= max && (whole !== true || Number.isInteger(value))
      return fits ? null : `a ${whole === true ? 'whole ' : ''}number from ${min} to ${max}`
    }
    case 'name':
      return typeof value === 'string' ? null : 'a name'
    case 'choice':
      return option.of.some((each) => each === value) ? null : `one of ${option.of.join(', ')}`
    case 'columns': {
      const fits = Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
      return fits ? null : "a list of names, such as ['amount']"
    }
    case 'baseline':
      return isBaseline(value) ? null : "'training', 'same-hour-yesterday', 'same-hour-last-week', { previous: '7d' } or { dataset: ID }"
    default:
      return option satisfies never
  }
}

function isBaseline(value: unknown): boolean {
  if (!isRecord(value)) return value === 'training' || value === 'same-hour-yesterday' || value === 'same-hour-last-week'
  const [[kind, of] = [], ...more] = Object.entries(value)
  if (more.length > 0 || typeof of !== 'string') return false
  return kind === 'dataset' ? /^[0-9a-z-]{4,}$/.test(of) : kind === 'previous' && (microsOf(of) ?? 0) >= parseDuration('1m')
}

function microsOf(text: string): number | null {
  try {
    return parseDuration(text)
  } catch {
    return null
  }
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
