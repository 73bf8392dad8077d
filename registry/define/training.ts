import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { namesInBraces } from '../../kernel/values/interval-text.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { PlanName, StatedPlan } from '../rollouts/plan-schema.ts'
import type { Requirement, TrainingSpec } from '../trainings/training-spec.ts'
import { invalid, knownParts, oneOf, scheduleOf, textOf } from './checked-fields.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { Model } from './model.ts'
import { checkName } from './names.ts'

/** A pipeline that trains a model: a training set, a trainer, a decision, a registered version. */
export interface Training<N extends string = string> {
  readonly kind: 'training'
  readonly name: N
  readonly model: Model
  readonly spec: TrainingSpec
  readonly described: Description
}

/** What a version must reach before it is registered. */
export type TrainingRequirement =
  | { readonly metric: string; readonly atLeast: number }
  | { readonly metric: string; readonly atMost: number }
  | { readonly metric: string; readonly against: 'champion'; readonly worseByAtMost: number }

export interface TrainingOptions {
  /** Its service gives the features. */
  readonly model: Model
  /**
   * The rows to train and to test on, with their label. The query contains `{from}` and `{to}`: rows at `{from}` belong
   * to the interval, rows at `{to}` do not.
   */
  readonly spine: { readonly sql: string }
  /** The column of the spine that the model learns to predict. */
  readonly label: string
  /** The output of the model that is compared with the label, if it has several. */
  readonly output?: string
  /** The time column of the spine, if it has several. */
  readonly time?: string
  /** Whether rows count that become visible at exactly the time of a spine row. Default: at. */
  readonly asOf?: 'at' | 'before'
  /** How long the interval of the rows is: `'90d'`. */
  readonly window: string
  /** How long a label takes until it is known: the interval ends so long before the run. Default: `'0s'`. */
  readonly mature?: string
  /** How much of the end of the interval is for the test; the trainer trains on the rest: `'7d'`. */
  readonly test: string
  /** The format of the files that the trainer gets. Default: parquet. */
  readonly format?: 'parquet' | 'csv' | 'jsonl'
  /** The name of an executable file in the folder `LOCKSTEP_TRAINERS` of the workers. */
  readonly trainer: string
  /** How long the trainer may run. Default: `'6h'`. */
  readonly timeout?: string
  /** What the trainer gets as JSON, part of the record of each version. */
  readonly parameters?: Readonly<Record<string, JsonValue>>
  /** What a version must reach. A version that does not is not registered. Default: nothing. */
  readonly require?: readonly TrainingRequirement[]
  /**
   * What becomes of a version that was registered. A rollout has the name of a plan, or a plan of your own:
   * {@link rolloutPlan}. Default: nothing.
   */
  readonly deploy?: 'nothing' | 'promote' | { readonly rollout: PlanName | StatedPlan }
  /** Five fields of cron, in UTC: `'0 4 * * 1'`. Default: it runs by `lockstep training run`. */
  readonly schedule?: string
}

/** The name of a file in a folder: no path, and no name that hides. */
export const trainerName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

const plans = ['default', 'blue-green'] as const satisfies readonly PlanName[]

const fields = [
  'model',
  'spine',
  'label',
  'output',
  'time',
  'asOf',
  'window',
  'mature',
  'test',
  'format',
  'trainer',
  'timeout',
  'parameters',
  'require',
  'deploy',
  'schedule',
]

/**
 * Declares a pipeline that trains a model: at the instants of a schedule, or when asked to.
 *
 * @example
 * export const weekly = training('fraud_weekly', {
 *   model: fraud, label: 'fraud', window: '90d', mature: '21d', test: '7d',
 *   trainer: 'train_fraud.py', schedule: '0 4 * * 1',
 *   spine: { sql: "select card, paid_at, amount, fraud from labels where paid_at >= '{from}' and paid_at < '{to}'" },
 *   require: [{ metric: 'auc', atLeast: 0.8 }], deploy: 'promote',
 * })
 * @throws LockstepError `INVALID_NAME`, `INVALID_SCHEDULE`, `DEFINITIONS_INVALID`
 */
export function training<const N extends string>(name: N, body: TrainingOptions & Description): Training<N> {
  const what = `The training "${checkName(name, 'A training')}"`
  checkBody(body, what, fields)
  checkKind(body.model, ['model'], `The model of ${what.replace('The', 'the')}`, 'a model')
  const spec: TrainingSpec = {
    name,
    model: body.model.name,
    spine: Object.freeze(spineOf(body.spine, what)),
    label: textOf(body.label, 'label', what),
    output: outputOf(body, what),
    time: body.time === undefined ? null : textOf(body.time, 'time', what),
    asOf: oneOf(body.asOf, ['at', 'before'], 'asOf', what),
    ...intervalOf(body, what),
    format: oneOf(body.format, ['parquet', 'csv', 'jsonl'], 'format', what),
    trainer: trainerOf(body.trainer, what),
    timeoutMicros: durationOf(body.timeout ?? '6h', 'timeout', what),
    parameters: parametersOf(body.parameters, what),
    require: requirementsOf(body.require, what),
    deploy: deployOf(body.deploy, what),
    schedule: body.schedule === undefined ? null : scheduleOf(body.schedule, what),
  }
  return define({ kind: 'training', name, model: body.model, spec: Object.freeze(spec), described: describe(body, what) })
}

function spineOf(spine: unknown, what: string): TrainingSpec['spine'] {
  const { sql, ...rest } = isRecord(spine) ? spine : {}
  if (typeof sql !== 'string' || sql.trim() === '' || Object.keys(rest).length > 0)
    throw invalid(`${what} has the spine ${show(spine)}; write { sql: 'select …' }.`)
  const names = namesInBraces(knownParts(sql, 'spine', what))
  const missing = ['from', 'to'].find((name) => !names.includes(name))
  if (missing === undefined) return { sql }
  throw invalid(
    `${what} has no "{${missing}}" in its spine, so it would take rows of any time. Limit its time: where paid_at >= '{from}' and paid_at < '{to}'.`,
  )
}

function outputOf({ model, output, require = [] }: TrainingOptions, what: string): string | null {
  const names = model.spec.output.map(({ name }) => name)
  const list = quotedNames(names)
  if (output !== undefined) {
    if (names.includes(output)) return output
    throw invalid(`${what} has the output ${show(output)}; write one of the model's outputs: ${list}.`)
  }
  if (names.length > 1 && Array.isArray(require) && require.some((each) => isRecord(each) && 'against' in each))
    throw invalid(
      `${what} compares with the champion, and its model has several outputs. Name the one of the label, as in output: ${list}.`,
    )
  return null
}

function intervalOf(body: TrainingOptions, what: string): Pick<TrainingSpec, 'windowMicros' | 'matureMicros' | 'testMicros'> {
  const windowMicros = durationOf(body.window, 'window', what)
  const testMicros = durationOf(body.test, 'test', what)
  if (testMicros >= windowMicros)
    throw invalid(
      `${what} has the test ${show(body.test)}, which leaves nothing of the window ${show(body.window)} to train on; write a shorter one.`,
    )
  const { mature = '0s' } = body
  return { windowMicros, testMicros, matureMicros: mature === '0s' ? 0 : durationOf(mature, 'mature', what) }
}

function trainerOf(trainer: unknown, what: string): string {
  if (typeof trainer === 'string' && trainerName.test(trainer)) return trainer
  throw invalid(
    `${what} has the trainer ${show(trainer)}; write the name of an executable file in the folder LOCKSTEP_TRAINERS of the workers, such as 'train_fraud.py', without a path and arguments.`,
  )
}

function parametersOf(parameters: unknown, what: string): TrainingSpec['parameters'] {
  if (parameters === undefined) return {}
  if (!isRecord(parameters)) throw invalid(`${what} has the parameters ${show(parameters)}; write an object, as in { depth: 6 }.`)
  for (const [key, value] of Object.entries(parameters)) {
    if (!isJson(value)) throw invalid(`${what} has the parameter "${key}", which is ${show(value)}; write a value that JSON can hold.`)
  }
  return parameters as TrainingSpec['parameters'] // each is JSON, as checked
}

function isJson(value: unknown): value is JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every(isJson)
  return isRecord(value) && Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isJson)
}

function requirementsOf(given: unknown, what: string): Requirement[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) throw invalid(`${what} has the require ${show(given)}; write a list, as in [{ metric: 'auc', atLeast: 0.8 }].`)
  return given.map((each: unknown) => requirementOf(each, what))
}

function requirementOf(given: unknown, what: string): Requirement {
  const { metric, ...rest } = isRecord(given) ? given : {}
  const names = Object.keys(rest).toSorted().join()
  const { atLeast, atMost, against, worseByAtMost } = rest
  if (typeof metric === 'string' && metric !== '') {
    if (names === 'atLeast' && isFinite(atLeast)) return { metric, atLeast }
    if (names === 'atMost' && isFinite(atMost)) return { metric, atMost }
    if (names === 'against,worseByAtMost' && against === 'champion' && isFinite(worseByAtMost) && worseByAtMost >= 0)
      return { metric, against, worseByAtMost }
  }
  throw invalid(
    `${what} requires ${show(given)}; write { metric: 'auc', atLeast: 0.8 }, { metric: 'logLoss', atMost: 0.3 } or { metric: 'auc', against: 'champion', worseByAtMost: 0.01 }.`,
  )
}

function isFinite(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function deployOf(deploy: unknown, what: string): TrainingSpec['deploy'] {
  if (deploy === undefined) return 'nothing'
  if (deploy === 'nothing' || deploy === 'promote') return deploy
  const { rollout, ...rest } = isRecord(deploy) ? deploy : {}
  if (Object.keys(rest).length === 0) {
    const plan = plans.find((each) => each === rollout)
    if (plan !== undefined) return { rollout: plan }
    // "apply" checks what is in it: the schema of plans would slow every file of definitions down
    if (isRecord(rollout) && isJson(rollout)) return { rollout }
  }
  throw invalid(
    `${what} has the deploy ${show(deploy)}; write 'nothing', 'promote', or a rollout with one of the plans ${plans.join(', ')} or with your own, as in { rollout: 'default' } or { rollout: rolloutPlan({ steps: [{ share: 0.05 }, { share: 1 }] }) }.`,
  )
}

function durationOf(given: unknown, field: string, what: string): number {
  try {
    return parseDuration(textOf(given, field, what), `The ${field}`)
  } catch (cause) {
    throw new LockstepError('DEFINITIONS_INVALID', `${what}: ${messageOf(cause)}`, { cause })
  }
}
