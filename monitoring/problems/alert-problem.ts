import { asRecord, isRecord } from '../../kernel/is-record.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { checkKinds } from '../../registry/define/check-options.ts'
import { summaryOf } from '../alerts/alert-message.ts'
import type { Alert } from '../alerts/read-alerts.ts'
import type { FoundProblem, Thing } from './problem.ts'

/** An alert that fires, with what it may follow from, by its evidence. */
export function alertProblem(catalog: Catalog, alert: Alert): FoundProblem {
  const { id, severity, started, startedWith, silencedUntil, runbook, monitor, check, subject } = alert
  const silenced = silencedUntil === null ? '' : ` (silenced until ${silencedUntil.toISOString()})`
  return {
    ...originOf(catalog, alert),
    severity: silencedUntil !== null ? 'info' : severity === 'page' ? 'page' : 'warn',
    what: `${summaryOf({ monitor, check, subject, cause: null, event: 'firing' })}${silenced}`,
    since: formatTimestamp(started),
    cause: startedWith.cause,
    todo: runbook === null ? null : `Follow the runbook: ${runbook}`,
    link: { kind: 'alert', id: String(id) },
    about: alertSubject(catalog, alert),
    command: commandIn(startedWith.cause) ?? `lockstep alert show ${id}`,
  }
}

/**
 * The first command that a cause names in quotes, if it only shows something. Causes also quote values of requests,
 * which must not become commands that users are asked to run.
 */
function commandIn(cause: string | null): string | null {
  return cause?.match(/"(lockstep (?:drift|parity|quality|job show|rollout show)(?: [\w,-]+)*)"/)?.[1] ?? null
}

/** The thing that an alert is about, or else the thing that its monitor watches; null: it has no page. */
export function alertSubject(catalog: Catalog, { subject, monitor }: Pick<Alert, 'subject' | 'monitor'>): Thing | null {
  const name = groupOf(subject)
  if (catalog.models.has(name)) return { kind: 'model', id: name }
  if ([...catalog.views.keys(), ...catalog.onDemand.keys()].some((id) => id === name)) return { kind: 'view', id: name }
  if (catalog.sources.has(name)) return { kind: 'source', id: name }
  const target = catalog.monitors.get(monitor)?.spec.target
  if (target?.kind === 'view') return { kind: 'view', id: target.view }
  const model = modelOf(catalog, monitor)
  return model === null ? null : { kind: 'model', id: model }
}

/** The model that a monitor watches; null: none. */
export function modelOf({ monitors, models }: Catalog, monitor: string): string | null {
  const target = monitors.get(monitor)?.spec.target
  const model = target === undefined ? monitor.replace(/^(model|daily):/, '') : target.kind === 'model' ? target.model : ''
  return models.has(model) ? model : null
}

/** `payments (model version 2)`: the source, view or model whose columns an alert is about. */
function groupOf(subject: string): string {
  return subject.replace(/ \(model version \d+\)$/, '')
}

/** @param schedule as the check `jobs` names it: `scheduled-batch nightly` */
export function failedJobsProblem(schedule: string): string {
  return `failed jobs of ${schedule}`
}

type Origin = Pick<FoundProblem, 'id' | 'causes' | 'follows'>

function originOf(catalog: Catalog, { check, subject, monitor, startedWith, result }: Alert): Origin {
  const group = groupOf(subject)
  const model = modelOf(catalog, monitor)
  const ofModel = (what: 'features' | 'outputs'): string[] => (model === null ? [] : [`${what} of ${model}`])
  const plain = { id: `${check} of ${subject}`, causes: [], follows: [] }
  const kind = checkKinds.find((each) => each === check)
  // an alert that another version stored may have a check that this one does not know
  if (kind === undefined) return plain
  switch (kind) {
    case 'freshness': {
      const source = [...catalog.views.values()].find(({ id }) => id === subject)?.spec.source.name
      return { ...plain, follows: [`view ${subject}`, ...(source === undefined ? [] : [`source ${source}`])] }
    }
    case 'arrivals':
      return { ...plain, causes: [`source ${subject}`] }
    case 'drift':
    case 'nulls': {
      // a fault of a source moves both, in all models
      const own = { ...plain, id: `values of ${group}`, causes: ofModel('features') }
      const signs = new Set([...signsOf(startedWith.evidence), ...signsOf(result.evidence)])
      if (signs.has('UNAVAILABLE')) return { ...own, follows: ['store'] }
      if (!['source late', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'].some((sign) => signs.has(sign))) return own
      const views = [...catalog.views.values()].filter(({ spec }) => spec.source.name === group).map(({ id }) => `view ${id}`)
      return { ...own, follows: [...views, `source ${group}`] }
    }
    case 'predictions': {
      const isOfFeatures = [startedWith, result].some(({ evidence }) => signsOf(evidence).has('features drifted'))
      return { ...plain, causes: ofModel('outputs'), follows: isOfFeatures ? ofModel('features') : [] }
    }
    case 'quality':
      return { ...plain, follows: [...ofModel('outputs'), ...ofModel('features')] }
    case 'errors':
      // errors that burn fast burn slowly, too
      return { ...plain, follows: ['store', `${check} of ${subject.replace('(slow burn)', '(fast burn)')}`] }
    case 'latency':
      return { ...plain, follows: ['store'] }
    case 'jobs': {
      const waits = listOf(result.evidence, 'stuck').some(({ worker }) => worker === null)
      return { ...plain, follows: [...(waits ? ['worker'] : []), failedJobsProblem(subject)] }
    }
    case 'parity':
    case 'traffic':
    case 'clock':
    case 'rollouts':
      return plain
    default:
      return kind satisfies never
  }
}

/** The causes that the evidence of breaching columns names, and the status whose share rose most. */
function signsOf(evidence: unknown): Set<unknown> {
  return new Set(
    breachingColumns(evidence).flatMap(({ evidence: own }) => [
      ...listOf(own, 'causes').map(({ kind }) => kind),
      ...listOf(own, 'statuses')
        .slice(0, 1)
        .map(({ status }) => status),
    ]),
  )
}

/** The columns that breach, as `groupColumns` stores them. */
export function breachingColumns(evidence: unknown): Readonly<Record<string, unknown>>[] {
  return listOf(evidence, 'columns').filter(({ state }) => state === 'breach')
}

function listOf(of: unknown, name: string): Readonly<Record<string, unknown>>[] {
  const list = asRecord(of)[name]
  return Array.isArray(list) ? list.filter(isRecord) : []
}
