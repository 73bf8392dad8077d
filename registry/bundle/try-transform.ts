import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { loadTransform } from '../../kernel/transform.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { show, typeName } from '../../kernel/values/value-type.ts'
import { sampleCount, sampleValue } from './sample-values.ts'
import type { RegExpWatch } from './kept-regexps.ts'
import { watchRegExps } from './kept-regexps.ts'
import { withUnchangedGlobals } from './unchanged-globals.ts'
import { isOverLimit, withinLimit } from './within-limit.ts'
import { withoutHiddenGlobals } from './without-hidden-globals.ts'

/**
 * The inputs with which a transform is tried: groups of columns, each an object of its input. A group without a name is
 * the input itself.
 */
export interface Trial {
  /** `view "airport_delays"`, for messages. */
  readonly what: string
  readonly code: string
  readonly groups: readonly {
    readonly name: string | null
    readonly columns: readonly (Column<ValueType> & { readonly nullable: boolean })[]
  }[]
  /** Whether the input has a moment, `asOf`. */
  readonly asOf: boolean
  readonly output: readonly Column<ValueType>[]
  /** Whether null, which drops the row, is a valid result. */
  readonly dropsRows: boolean
}

/** How long a transform may take for one sample. */
const limitMs = 250
/** The first samples have nulls, zeros and ordinary values. The transform must finish on them. */
const ordinarySamples = 8
const tooLong = 'no answer in time'
const failed = 'the error '

/**
 * Tries a transform on sample inputs twice, the second time freshly loaded and in another order. An exception on a
 * strange sample is allowed if it comes each time, and so is a long loop over an extreme value.
 *
 * @throws LockstepError `TRANSFORM_IMPURE` if results differ or the input is changed; `TRANSFORM_FAILED` if the
 *   transform reads a name that its input does not have, a result has the wrong shape, an ordinary row takes over
 *   250 ms, or every ordinary row throws
 */
export function tryTransform(trial: Trial): void {
  const order = Array.from({ length: sampleCount }, (_, i) => i)
  const first = runAll(trial, order)
  const ordinary = first.slice(0, ordinarySamples)
  if (ordinary.every((outcome) => outcome.startsWith(failed))) {
    throw new LockstepError(
      'TRANSFORM_FAILED',
      `The transform of ${trial.what} throws for every ordinary sample row, first ${ordinary[0]}; correct it.`,
    )
  }
  const second = runAll(
    trial,
    order.map((i) => (i * 29 + 17) % sampleCount),
  )
  for (const i of order) {
    if (first[i] === second[i] || first[i] === tooLong || second[i] === tooLong) continue
    throw new LockstepError(
      'TRANSFORM_IMPURE',
      `The transform of ${trial.what} returned ${first[i]} and then ${second[i]} for the same input; it must depend only on its input and keep nothing between calls.`,
    )
  }
}

/** The printed result of each sample, by number. */
function runAll(trial: Trial, order: readonly number[]): string[] {
  const impure = (what: string): LockstepError =>
    new LockstepError('TRANSFORM_IMPURE', `The transform of ${trial.what} uses ${what}; it must depend only on its input.`, {
      details: { uses: what },
    })
  const changes = (what: string): LockstepError =>
    new LockstepError(
      'TRANSFORM_IMPURE',
      `The transform of ${trial.what} changes "${what}", which all code shares; create a new value instead.`,
      {
        details: { changes: what },
      },
    )
  const watch = watchRegExps()
  try {
    const outcomes = withoutHiddenGlobals(() => withUnchangedGlobals(() => tried(trial, order, watch), changes), impure)
    if (watch.kept !== null) throw impure(watch.kept)
    return outcomes
  } finally {
    watch.stop()
  }
}

type Limit = <T>(call: () => T) => T
const limited: Limit = (call) => withinLimit(call, limitMs)

/**
 * All samples have one limit together, because watching a call takes longer than most transforms do. If they exceed it,
 * each is tried with a limit of its own.
 */
function tried(trial: Trial, order: readonly number[], watch: RegExpWatch): string[] {
  try {
    return limited(() => runEach(trial, order, watch, (call) => call()))
  } catch (error) {
    if (!isOverLimit(error)) throw error
    return runEach(trial, order, watch, limited)
  }
}

function runEach(trial: Trial, order: readonly number[], watch: RegExpWatch, limit: Limit): string[] {
  const transform = loadTransform(trial.code, trial.what) as (input: object) => unknown
  const outcomes: string[] = []
  for (const i of order) {
    watch.begin()
    outcomes[i] = runOne(trial, transform, limit, i)
  }
  return outcomes
}

/** A busy machine may hold up one run of a transform for longer than its limit, but hardly three in a row. */
const runs = 3

function runOne(trial: Trial, transform: (input: object) => unknown, limit: Limit, sample: number, run = 1): string {
  const found: Found = { changes: [], unknown: [] }
  const input = sampleInput(trial, sample, found)
  const before = print(input.plain)
  let result: unknown
  let failure: unknown = null
  try {
    result = limit(() => transform(input.guarded))
  } catch (error) {
    failure = error ?? new Error('nothing')
  }
  if (isOverLimit(failure)) {
    if (sample >= ordinarySamples) return tooLong
    if (run < runs) return runOne(trial, transform, limit, sample, run + 1)
    throw new LockstepError('TRANSFORM_FAILED', `The transform of ${trial.what} took over ${limitMs} ms for one row; make it faster.`)
  }
  const [change] = found.changes
  if (change !== undefined || print(input.plain) !== before) {
    throw new LockstepError(
      'TRANSFORM_IMPURE',
      `The transform of ${trial.what} changes its input${change === undefined ? '' : ` (${change})`}; create a new value instead.`,
    )
  }
  const [unknown] = found.unknown
  if (unknown !== undefined) throw new LockstepError('TRANSFORM_FAILED', `The transform of ${trial.what} reads ${unknown}`)
  if (failure !== null) {
    if (failure instanceof LockstepError) {
      throw new LockstepError('TRANSFORM_IMPURE', `The transform of ${trial.what} cannot be used. ${failure.message}`, { cause: failure })
    }
    return failed + messageOf(failure)
  }
  if (result === null && trial.dropsRows) return 'null'
  return checked(trial, result)
}

function checked(trial: Trial, result: unknown): string {
  const expected = `{ ${trial.output.map((c) => `${c.name}: ${typeName(c.type)}`).join(', ')} }${trial.dropsRows ? ' or null' : ''}`
  if (typeof result !== 'object' || result === null || Array.isArray(result)) {
    throw new LockstepError('TRANSFORM_FAILED', `The transform of ${trial.what} returned ${show(result)}; it must return ${expected}.`)
  }
  const values = new Map(Object.entries(result))
  for (const { name, type } of trial.output) {
    const value: unknown = values.get(name)
    if (value === undefined) {
      throw new LockstepError(
        'TRANSFORM_FAILED',
        `The transform of ${trial.what} returned no "${name}"; it must return ${expected}, null where there is no value.`,
      )
    }
    if (value !== null && !isOfKind(type, value)) {
      throw new LockstepError(
        'TRANSFORM_FAILED',
        `The transform of ${trial.what} returned ${show(value)} for "${name}", which is not ${typeName(type)}.`,
      )
    }
  }
  return print(Object.fromEntries(trial.output.map(({ name }) => [name, values.get(name)])))
}

/** Checks only the JavaScript type, because a number out of range on a strange sample is not the transform's fault. */
function isOfKind(type: ValueType, value: unknown): boolean {
  switch (type.kind) {
    case 'bool':
      return typeof value === 'boolean'
    case 'int64':
      return typeof value === 'bigint'
    case 'string':
      return typeof value === 'string'
    case 'vector':
      return value instanceof Float32Array && value.length === type.length
    case 'list':
      return Array.isArray(value) && value.every((v) => (v === null ? type.nulls : isOfKind(type.of, v)))
    case 'counts':
      return value instanceof Map && [...value].every(([k, n]) => typeof k === 'string' && typeof n === 'number')
    default:
      return typeof value === 'number'
  }
}

/** What a transform did to its input that it must not do. */
interface Found {
  readonly changes: string[]
  /** `"amout", which its input does not have. Did you mean "amount"?` */
  readonly unknown: string[]
}

function sampleInput(trial: Trial, sample: number, found: Found): { readonly plain: object; readonly guarded: object } {
  const plain: Record<string, unknown> = trial.asOf ? { asOf: sampleValue({ kind: 'timestamp' }, sample, 99, false) } : {}
  const guarded: Record<string, unknown> = { ...plain }
  let number = 0
  for (const group of trial.groups) {
    const values: Record<string, Value | null> = {}
    for (const { name, type, nullable } of group.columns) values[name] = sampleValue(type, sample, number++, nullable)
    if (group.name === null) {
      Object.assign(plain, values)
      Object.assign(guarded, values)
    } else {
      plain[group.name] = values
      guarded[group.name] = guard(values, `"${group.name}"`, found)
    }
  }
  return { plain, guarded: guard(guarded, 'its input', found) }
}

/** Names that `JSON.stringify` and libraries read of any object, to learn what it is. */
const askedOfAny = new Set(['toJSON', 'then', 'length'])

/** An object that reports every attempt to change it, and every read of a name that it does not have. */
function guard(target: object, what: string, found: Found): object {
  const refuse = (verb: string) => (_: object, property: string | symbol) => {
    found.changes.push(`it ${verb} "${String(property)}"`)
    return false
  }
  return new Proxy(target, {
    get(_, name) {
      if (typeof name === 'string' && !(name in target) && !askedOfAny.has(name)) found.unknown.push(notIn(target, what, name))
      return Reflect.get(target, name) as unknown
    },
    set: refuse('sets'),
    defineProperty: refuse('defines'),
    deleteProperty: refuse('deletes'),
  })
}

function notIn(target: object, what: string, name: string): string {
  const names = Object.keys(target)
  const hint = didYouMean(name, names)
  const listed = names.length === 0 ? ' It is empty.' : ` It has ${names.map((each) => `"${each}"`).join(', ')}.`
  return `"${name}", which ${what} does not have.${hint === '' ? listed : hint}`
}

/** Prints a value so that different values, including NaN and -0, give different texts. */
function print(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Object.is(value, -0)) return '-0'
  if (value instanceof Float32Array || Array.isArray(value)) return `[${Array.from(value, print).join(', ')}]`
  if (value instanceof Map) return `{ ${Array.from(value, ([key, v]) => `${print(key)} => ${print(v)}`).join(', ')} }`
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, v]) => `${key}: ${print(v)}`)
      .join(', ')} }`
  }
  return String(value)
}
