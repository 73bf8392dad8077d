import { formatDuration, parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { MonitorSpec, MonitorTarget } from '../monitor-spec.ts'
import type { Channel } from './channel.ts'
import type { CheckKindName, CheckSpec, StatedCheck } from './check-options.ts'
import { checkKinds, checkOf } from './check-options.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { AnyFeatureView } from './feature-view.ts'
import type { Model } from './model.ts'
import { checkName } from './names.ts'
import { cronOf, periods } from './period.ts'
import type { Severity } from './severity.ts'
import { severities } from './severity.ts'

/** Checks that run again and again, and the alerts that they raise. */
export interface Monitor<N extends string = string> {
  readonly kind: 'monitor'
  readonly name: N
  /** null: it watches the system. */
  readonly of: Model | AnyFeatureView | null
  readonly notify: readonly Channel[]
  readonly spec: MonitorSpec
  readonly described: Description
}

export interface MonitorOptions {
  /** The model to watch, its feature service and that service's views. */
  readonly model?: Model
  /** The view to watch. Absent, like `model`: the jobs and clocks of the system. */
  readonly view?: AnyFeatureView
  readonly checks: readonly StatedCheck[]
  /** How often the checks run. Default: 5m. */
  readonly every?: string
  /** The part of the past that each evaluation looks at. Default: 1h, or `every` if that is longer. */
  readonly window?: string
  /** How long a check must breach before its alert fires, at least `every`. Default: it fires at once. */
  readonly for?: string
  /** How many evaluations in a row must be fine before the alert is resolved. Default: 3. */
  readonly clearAfter?: number
  /** After how long without data a ticket says so; `never`: it does not. Default: three windows. */
  readonly noData?: string
  /** `page` wakes somebody up, `ticket` waits for working hours. Default: ticket. */
  readonly severity?: Severity
  /** Who is notified. Default: nobody; `lockstep alert list` shows the alerts. */
  readonly notify?: readonly Channel[]
  /** The URL of a page that says what to do. */
  readonly runbook?: string
}

const fields = ['model', 'view', 'checks', 'every', 'window', 'for', 'clearAfter', 'noData', 'severity', 'notify', 'runbook']
const maxWindow = '90d'

/**
 * Declares a monitor. Its checks run as a job, and it may change at any time.
 *
 * @example export const inputs = monitor('delay_inputs', { model: delayModel, checks: [{ kind: 'freshness' }],
 *   notify: [oncall] })
 * @throws LockstepError `INVALID_NAME`, `INVALID_DURATION`, `DEFINITIONS_INVALID`
 */
export function monitor<const N extends string>(name: N, body: MonitorOptions & Description): Monitor<N> {
  const what = `The monitor "${checkName(name, 'A monitor')}"`
  checkBody(body, what, fields)
  const of = targetOf(body, what)
  const everyMicros = parseDuration(body.every ?? '5m', `${what}: its every`)
  if (cronOf(everyMicros) === null) throw invalid(`${what} runs every "${body.every}"; write one of ${periods.join(', ')}.`)
  const windowMicros = body.window === undefined ? Math.max(everyMicros, parseDuration('1h')) : windowOf(body.window, everyMicros, what)
  const spec: MonitorSpec = {
    name,
    target: of === null ? { kind: 'system' } : target(of),
    everyMicros,
    windowMicros,
    forMicros: forOf(body.for, everyMicros, what),
    clearAfter: clearAfterOf(body.clearAfter, what),
    noDataMicros: body.noData === 'never' ? null : noDataOf(body.noData, windowMicros, what),
    severity: severityOf(body.severity, what),
    checks: checksOf(body.checks, of, what),
    notify: notifyOf(body.notify, what).map((channel) => channel.name),
    runbook: runbookOf(body.runbook, what),
  }
  return define({
    kind: 'monitor',
    name,
    of,
    notify: Object.freeze([...(body.notify ?? [])]),
    spec: Object.freeze(spec),
    described: describe(body, what),
  })
}

function targetOf({ model, view }: MonitorOptions, what: string): Model | AnyFeatureView | null {
  if (model !== undefined && view !== undefined) throw invalid(`${what} has a model and a view; write one monitor for each.`)
  if (model !== undefined) checkKind(model, ['model'], `The model of ${what.replace('The', 'the')}`, 'a model')
  if (view !== undefined) checkKind(view, ['featureView'], `The view of ${what.replace('The', 'the')}`, 'a feature view')
  return model ?? view ?? null
}

function target(of: Model | AnyFeatureView): MonitorTarget {
  return of.kind === 'model' ? { kind: 'model', model: of.name } : { kind: 'view', view: definitionId(of) }
}

function windowOf(text: string, everyMicros: number, what: string): number {
  const micros = parseDuration(text, `${what}: its window`)
  if (micros < everyMicros || micros > parseDuration(maxWindow))
    throw invalid(`${what} has the window "${text}"; it is from ${formatDuration(everyMicros)}, its every, to ${maxWindow}.`)
  return micros
}

function forOf(text: string | undefined, everyMicros: number, what: string): number {
  if (text === undefined) return 0
  const micros = parseDuration(text, `${what}: its for`)
  if (micros >= everyMicros) return micros
  const every = formatDuration(everyMicros)
  throw invalid(
    `${what} has for: "${text}", which is shorter than its every: "${every}". Write "${every}" or more, or leave it out to fire at once.`,
  )
}

function clearAfterOf(count: number | undefined, what: string): number {
  if (count === undefined) return 3
  if (Number.isSafeInteger(count) && count >= 1 && count <= 1000) return count
  throw invalid(`${what} has the clearAfter ${show(count)}; write a whole number from 1 to 1000.`)
}

function noDataOf(text: string | undefined, windowMicros: number, what: string): number {
  return text === undefined ? 3 * windowMicros : parseDuration(text, `${what}: its noData`)
}

function severityOf(severity: Severity | undefined, what: string): Severity {
  if (severity === undefined || severities.includes(severity)) return severity ?? 'ticket'
  throw invalid(`${what} has the severity ${show(severity)}; write one of ${severities.join(', ')}.`)
}

function notifyOf(notify: readonly Channel[] | undefined, what: string): readonly Channel[] {
  if (notify === undefined) return []
  if (!Array.isArray(notify)) throw invalid(`${what} has ${show(notify)} for notify; write a list of channels.`)
  for (const each of notify) checkKind(each, ['channel'], `A member of notify of ${what.replace('The', 'the')}`, 'a channel')
  return notify
}

function runbookOf(runbook: string | undefined, what: string): string | null {
  if (runbook === undefined) return null
  if (typeof runbook === 'string' && URL.canParse(runbook) && ['http:', 'https:'].includes(new URL(runbook).protocol)) return runbook
  throw invalid(`${what} has the runbook ${show(runbook)}; write a URL that begins with https://.`)
}

/** Which checks need a model or view, and which watch the system. `rollouts` watches a model, or all of them. */
const ofSystem: readonly CheckKindName[] = ['arrivals', 'jobs', 'clock']
const ofModel: readonly CheckKindName[] = ['parity', 'errors', 'latency', 'traffic', 'nulls', 'drift', 'predictions', 'quality']

function checksOf(checks: readonly StatedCheck[], of: Monitor['of'], what: string): CheckSpec[] {
  if (!Array.isArray(checks) || checks.length === 0)
    throw invalid(`${what} has no checks; add one, as in checks: [{ kind: 'freshness' }]. The kinds are ${checkKinds.join(', ')}.`)
  const parsed = checks.map((check) => checkOf(check, what))
  for (const { kind } of parsed) {
    if (parsed.filter((each) => each.kind === kind).length > 1)
      throw invalid(`${what} has two checks "${kind}"; write a second monitor for the other one.`)
    if (kind !== 'rollouts' && ofSystem.includes(kind) !== (of === null)) {
      const fix = of === null ? 'add a model or a view' : 'write a monitor without model and view for it'
      throw invalid(`${what} has the check "${kind}", which watches ${of === null ? 'a model or a view' : 'the system'}; ${fix}.`)
    }
    if ((ofModel.includes(kind) && of?.kind !== 'model') || (kind === 'rollouts' && of?.kind === 'featureView'))
      throw invalid(`${what} has the check "${kind}", which needs a model; add one.`)
  }
  return parsed
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
