import type { Window } from '../window.ts'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Severity } from '../../registry/define/severity.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ListPlace } from '../../runtime/jobs/read-jobs.ts'
import type { CheckResult } from './check-kind.ts'

type Handle = Pick<Database, 'kysely'>

/** An alert that has fired. */
export interface Alert {
  readonly id: number
  readonly monitor: string
  readonly check: string
  readonly subject: string
  readonly severity: Severity
  readonly state: 'firing' | 'resolved'
  /** Epoch microseconds. */
  readonly started: number
  readonly resolved: number | null
  readonly resolution: 'cleared' | 'removed' | null
  readonly notified: boolean
  /** When the last of its silences ends; null: it is not silenced. By `asOf` of the filter. */
  readonly silencedUntil: Date | null
  /** The id of the newest of its silences, also of those that ended; null: it never had one. */
  readonly newestSilence: number | null
  readonly description: string | null
  readonly runbook: string | null
  readonly startedWith: CheckResult
  readonly result: CheckResult
}

export interface AlertFilter {
  readonly id?: number | undefined
  readonly state?: 'firing' | 'resolved' | undefined
  readonly monitor?: string | undefined
  /** Only alerts of these monitors. */
  readonly monitors?: readonly string[] | undefined
  /** Firing at some time in it, epoch microseconds. */
  readonly window?: Window | undefined
  readonly severity?: Severity | undefined
  /** Part of the name of its monitor, check or subject. */
  readonly text?: string | undefined
  /** The moment whose silences count, epoch microseconds. Default: now. */
  readonly asOf?: number | undefined
  /** Only alerts that are listed after this one. */
  readonly after?: ListPlace | undefined
  /** Default: 100. */
  readonly limit?: number | undefined
}

export const maxListedAlerts = 1000

/** Firing ones first, then the newest. */
export async function readAlerts(
  { kysely }: Handle,
  { id, state, monitor, monitors, window, severity, text, asOf, after, limit = 100 }: AlertFilter = {},
): Promise<Alert[]> {
  const moment = asOf === undefined ? sql<Date>`clock_timestamp()` : sql<Date>`${new Date(asOf / 1000)}::timestamptz`
  // subqueries in the list of columns run only for the alerts within the limit
  const silences = sql`lockstep.alert_silences s
    where s.monitor = a.monitor and s.created_at <= ${moment}
      and (s.check_kind is null or s.check_kind = a.check_kind) and (s.subject is null or s.subject = a.subject)`
  let query = kysely
    .selectFrom('lockstep.alerts as a')
    .selectAll('a')
    .select([
      sql<Date | null>`(select max(coalesce(s.planned_end, s.ends_at)) from ${silences} and s.ends_at > ${moment})`.as('silenced_until'),
      sql<string | null>`(select max(s.id) from ${silences})`.as('newest_silence'),
    ])
    .orderBy(sql`(a.state = 'firing')`, 'desc')
    .orderBy('a.id', 'desc')
    .limit(limit)
  if (id !== undefined) query = query.where('a.id', '=', String(id))
  if (after !== undefined)
    query = query.where(sql<boolean>`(a.state = 'firing', a.id) < (${after.isFirst}::boolean, ${String(after.id)}::bigint)`)
  if (state !== undefined) query = query.where('a.state', '=', state)
  if (monitor !== undefined) query = query.where('a.monitor', '=', monitor)
  if (severity !== undefined) query = query.where('a.severity', '=', severity)
  if (text !== undefined)
    query = query.where(sql<boolean>`strpos(lower(concat_ws(' ', a.monitor, a.check_kind, a.subject)), lower(${text}::text)) > 0`)
  if (monitors !== undefined) query = query.where('a.monitor', '=', sql<string>`any(${monitors})`)
  if (window !== undefined) {
    query = query.where('a.started', '<', String(window.to))
    // by state, which the indices of alerts are about
    query = query.where((e) =>
      e.or([e('a.state', '=', 'firing'), e.and([e('a.state', '=', 'resolved'), e('a.resolved', '>=', String(window.from))])]),
    )
  }
  const rows = await query.execute()
  return rows.map((row): Alert => {
    const about = row.about as Pick<Alert, 'description' | 'runbook'> // json that record-evaluation.ts alone writes
    return {
      id: Number(row.id),
      monitor: row.monitor,
      check: row.check_kind,
      subject: row.subject,
      severity: row.severity,
      state: row.state,
      started: Number(row.started),
      resolved: row.resolved === null ? null : Number(row.resolved),
      resolution: row.resolution,
      notified: row.notified,
      silencedUntil: row.silenced_until,
      newestSilence: row.newest_silence === null ? null : Number(row.newest_silence),
      description: about.description,
      runbook: about.runbook,
      startedWith: row.started_with as CheckResult,
      result: row.result as CheckResult,
    }
  })
}

/** @throws LockstepError `NOT_FOUND` */
export async function readAlert(db: Handle, id: number): Promise<Alert> {
  const [alert] = await readAlerts(db, { id })
  if (alert === undefined) throw noAlert(id)
  return alert
}

export function noAlert(id: number | string): LockstepError {
  return new LockstepError('NOT_FOUND', `There is no alert "${id}"; "lockstep alert list" and GET /v1/alerts list the alerts.`, {
    details: { id },
  })
}

/** A notification of an alert, and what became of it. */
export interface Delivery {
  readonly channel: string
  readonly event: string
  readonly state: 'open' | 'sent' | 'dropped'
  readonly attempts: number
  readonly error: string | null
  readonly createdAt: Date
  readonly endedAt: Date | null
}

/** In the order in which they are sent. */
export async function readDeliveries({ kysely }: Handle, alert: number): Promise<Delivery[]> {
  const rows = await kysely
    .selectFrom('lockstep.alert_deliveries')
    .select(['channel', 'state', 'attempts', 'error', 'created_at', 'ended_at', sql<string>`message->>'event'`.as('event')])
    .where('alert', '=', String(alert))
    .orderBy('id')
    .execute()
  return rows.map(({ created_at, ended_at, ...row }) => ({ ...row, createdAt: created_at, endedAt: ended_at }))
}

/** An alert as `--json` and HTTP show it. */
export function alertJson(of: Alert) {
  const { started, resolved, silencedUntil, newestSilence: _, startedWith, result, ...alert } = of
  return {
    ...alert,
    startedAt: formatTimestamp(started),
    resolvedAt: resolved === null ? null : formatTimestamp(resolved),
    silencedUntil: silencedUntil?.toISOString() ?? null,
    cause: startedWith.cause,
    value: result.value,
    threshold: result.threshold,
    n: result.n,
    evidence: startedWith.evidence,
    latest: { ...result },
  }
}

export function deliveryJson({ createdAt, endedAt, ...delivery }: Delivery) {
  return { ...delivery, createdAt: createdAt.toISOString(), endedAt: endedAt?.toISOString() ?? null }
}
