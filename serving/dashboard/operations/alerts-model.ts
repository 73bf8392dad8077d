import { z } from 'zod'
import { dayMicros, formatTimestamp } from '../../../kernel/values/time.ts'
import { asRecord } from '../../../kernel/is-record.ts'
import { judgedOutcome, qualityDays } from '../../../monitoring/figures/figures-job.ts'
import { figuresOverTime } from '../../../monitoring/figures/stored-figures.ts'
import { figureTitle } from '../../../monitoring/quality/figure-titles.ts'
import { summaryOf } from '../../../monitoring/alerts/alert-message.ts'
import type { CheckResult } from '../../../monitoring/alerts/check-kind.ts'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { listMonitors, monitorState } from '../../../monitoring/alerts/monitor-list.ts'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { readAlerts, readDeliveries } from '../../../monitoring/alerts/read-alerts.ts'
import { alertSubject, breachingColumns, modelOf } from '../../../monitoring/problems/alert-problem.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import type { ServingContext } from '../../context.ts'
import type { AlertsData } from '../contract/alerts.ts'
import { alerts as alertsContract } from '../contract/alerts.ts'
import { readModel } from '../read-model.ts'
import { figureChart } from '../models/figure-chart.ts'
import { nextCursor, pageSize, paged } from './paged.ts'

type AlertLine = AlertsData['alerts'][number]

export const alertsModel = readModel({
  path: '/alerts',
  scope: 'ui:read',
  query: paged.extend({ id: z.coerce.number().int().min(1).optional(), q: z.string().max(200).optional() }),
  data: alertsContract,
  async read({ db, deps, now, isPast, query: { cursor, id: asked, q: text } }) {
    // of all alerts, those that fired then; one by its id may have ended before
    const then = isPast ? { window: { from: asked === undefined ? now : 0, to: now + 1 }, asOf: now } : {}
    const all = await readAlerts(db, { id: asked, text, limit: pageSize + 1, after: cursor, ...then })
    const shown = all.slice(0, pageSize)
    const last = shown.at(-1)
    const data: AlertsData = {
      alerts: shown.map((alert) => alertLine(deps.catalog(), alert, isPast ? now : null)),
      notifications:
        asked === undefined || last === undefined ? null : await notificationsOf(db, asked, isPast ? new Date(now / 1000) : null),
      chart: asked === undefined || last === undefined ? null : await chartOf(db, deps.catalog(), last, now),
      monitors: isPast || asked !== undefined || cursor !== undefined ? null : await monitorLines(db, deps),
      cursor: last === undefined ? null : nextCursor(all.length, last.id, last.state === 'firing'),
    }
    const notes =
      isPast && data.alerts.length > 0 ? ['Figures are those of when an alert fired: of later ones, only the newest is kept.'] : []
    return { data, notes }
  },
})

/** @param then epoch microseconds; null: the present */
function alertLine(catalog: Catalog, alert: Alert, then: number | null): AlertLine {
  const { id, monitor, check, subject, severity, startedWith, result, description, runbook } = alert
  const isOver = alert.resolved !== null && (then === null || alert.resolved <= then)
  // only the newest figures are kept, and those of when it fired
  const newest = then === null ? result : null
  return {
    id: String(id),
    monitor,
    check,
    subject,
    severity,
    state: isOver ? 'resolved' : 'firing',
    silencedUntil: alert.silencedUntil?.toISOString() ?? null,
    revision: alertRevision(alert),
    says: summaryOf({ monitor, check, subject, cause: null, event: 'firing' }),
    cause: startedWith.cause,
    newestCause: newest === null || newest.cause === startedWith.cause ? null : newest.cause,
    description,
    runbook,
    startedAt: formatTimestamp(alert.started),
    resolvedAt: isOver && alert.resolved !== null ? formatTimestamp(alert.resolved) : null,
    fired: figuresOf(startedWith),
    newest: newest === null ? null : figuresOf(newest),
    link: alertSubject(catalog, alert),
    model: modelOf(catalog, monitor),
    features: featuresOf(catalog, alert, newest === null ? [startedWith] : [startedWith, newest]),
  }
}

/** Another one once the alert has ended, and after each begin and end of a silence. No earlier one returns. */
export function alertRevision({ state, silencedUntil, newestSilence }: Pick<Alert, 'state' | 'silencedUntil' | 'newestSilence'>): string {
  return `${state}.${newestSilence ?? 'never'}.${silencedUntil?.getTime() ?? 'sent'}`
}

function figuresOf({ value, threshold, n }: CheckResult): AlertLine['fired'] {
  return { value, threshold, n }
}

/** The features of the watched model that breach in results. */
function featuresOf(catalog: Catalog, { check, monitor }: Alert, results: readonly CheckResult[]): AlertLine['features'] {
  const model = catalog.models.get(modelOf(catalog, monitor) ?? '')
  if (model === undefined || check === 'predictions') return []
  const names = new Set(results.flatMap(({ evidence }) => breachingColumns(evidence).map(({ column }) => column)))
  const features = catalog.services.get(model.spec.service)?.features ?? []
  return features.filter(({ name }) => names.has(name)).map(({ name, view }) => ({ feature: name, view }))
}

/** How many days before an alert its chart begins. */
const chartedDays = 30

/** Of the checks, only that of quality has figures that are stored anyway. */
async function chartOf(db: Database, catalog: Catalog, alert: Alert, now: number): Promise<AlertsData['chart']> {
  const { check, monitor, subject, started, resolved, startedWith } = alert
  const model = modelOf(catalog, monitor)
  if (check !== 'quality' || model === null || judgedOutcome(catalog, model) !== subject) return null
  const { figures, before } = asRecord(startedWith.evidence)
  const figure = Object.entries(asRecord(figures)).find(([, found]) => asRecord(found)['value'] === startedWith.value)?.[0]
  if (figure === undefined) return null
  const to = Math.min(resolved ?? now, now)
  const all = await figuresOverTime(db, model, { from: started - chartedDays * dayMicros, to })
  const points = all.filter((point) => point.figure === figure)
  if (points.length === 0) return null
  return {
    label: `${figureTitle(figure)} of ${model}, each of the ${qualityDays} days before`,
    chart: figureChart(model, figure, points, points.at(-1)?.version),
    bound: before !== undefined || startedWith.threshold === null ? null : { value: startedWith.threshold, name: 'limit' },
  }
}

async function monitorLines(db: Database, deps: ServingContext): Promise<NonNullable<AlertsData['monitors']>> {
  const monitors = await listMonitors(db, activeMonitors(deps.catalog(), deps.defaultMonitors))
  return monitors.map((monitor) => {
    const { phase, text } = monitorState(monitor.results)
    const { name, everyMicros, evaluatedAt, results } = monitor
    // of those that fire, else of those of which nothing is known
    const why = (results.find((each) => each.phase === 'firing') ?? results.find(({ result }) => result.state !== 'ok'))?.result.cause
    return { name, watches: watchedName(monitor), phase, says: text, why: why ?? null, everySeconds: everyMicros / 1e6, evaluatedAt }
  })
}

/** Who was notified of an alert, in the order in which messages are sent. @param until null: now */
async function notificationsOf(db: Database, alert: number, until: Date | null): Promise<NonNullable<AlertsData['notifications']>> {
  const deliveries = await readDeliveries(db, alert)
  return deliveries
    .filter(({ createdAt }) => until === null || createdAt <= until)
    .map(({ channel, event, state, attempts, error, createdAt, endedAt }) => {
      const isEnded = endedAt !== null && (until === null || endedAt <= until)
      const since = { channel, event, createdAt: createdAt.toISOString() }
      // how often it was tried by then is not recorded
      if (until !== null && !isEnded) return { ...since, state: 'open', attempts: null, error: null, endedAt: null }
      return { ...since, state, attempts, error, endedAt: endedAt?.toISOString() ?? null }
    })
}
