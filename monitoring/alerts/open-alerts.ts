import type { Transaction } from 'kysely'
import { sql } from 'kysely'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Severity } from '../../registry/define/severity.ts'
import type { ChannelSpec } from '../../registry/monitor-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { AlertMessage } from './alert-message.ts'
import { summaryOf } from './alert-message.ts'
import type { CheckResult } from './check-kind.ts'
import type { ActiveMonitor } from './default-monitors.ts'
import type { Silence } from './silences.ts'
import { activeSilences, hasOutlivedSilence, isSilenced } from './silences.ts'

/** The alerts of a monitor within the transaction that moves them. */
export interface OpenAlerts {
  /** Channels that have a new notification. */
  readonly channels: ReadonlySet<string>
  fire(check: string, result: CheckResult, severity: Severity, moment: number): Promise<void>
  /**
   * The alert still fires: keeps the newest evidence. Notifies if the alert is no longer silenced, also if the channels
   * were notified before the silence, and of what has joined it.
   */
  continueFiring(check: string, result: CheckResult, moment: number): Promise<void>
  resolve(check: string, result: CheckResult, moment: number, resolution: 'cleared' | 'removed'): Promise<void>
  /** Deletes the state of a removed subject, and resolves its alert. */
  remove(check: string, last: CheckResult, moment: number): Promise<void>
}

/** The monitor of alerts that may be all that is left of it. */
type Owner = Pick<ActiveMonitor, 'name'> & Partial<Pick<ActiveMonitor, 'notify' | 'description' | 'runbook'>>

interface About {
  readonly description: string | null
  readonly runbook: string | null
  readonly notify: readonly string[]
  /** Sentences about columns that joined the alert while it was silenced; absent: none did. */
  readonly held?: string | undefined
}

export async function openAlerts(
  transaction: Transaction<LockstepTables>,
  { name, notify = [], description = null, runbook = null }: Owner,
  channels: ReadonlyMap<string, ChannelSpec>,
): Promise<OpenAlerts> {
  const silences: readonly Silence[] = await activeSilences({ kysely: transaction }, name)
  const notified = new Set<string>()
  const now: About = { description, runbook, notify }

  /** @param joined what joined the alert, at an evaluation; absent: it fires or is resolved */
  async function notifyOf(
    event: 'firing' | 'resolved',
    id: number,
    joined?: { readonly text: string; readonly moment: number },
  ): Promise<void> {
    const alert = await transaction.selectFrom('lockstep.alerts').selectAll().where('id', '=', String(id)).executeTakeFirstOrThrow()
    const about = alert.about as About // written here alone
    const message = composeMessage(event, alert, about, await installationKey(transaction), joined?.text)
    for (const channel of about.notify) {
      if (channels.get(channel)?.severities.includes(alert.severity) !== true) continue
      notified.add(channel)
      await transaction
        .insertInto('lockstep.alert_deliveries')
        .values({
          alert: String(id),
          channel,
          key: `${message.alertKey}:${event}${joined === undefined ? '' : `:${joined.moment}`}`,
          message: JSON.stringify(message),
          error: null,
          ended_at: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
  }

  async function firing(
    check: string,
    subject: string,
  ): Promise<{ readonly id: number; readonly notified: boolean; readonly outlived: boolean; readonly about: About } | null> {
    const found = await transaction
      .selectFrom('lockstep.alerts as a')
      .select(['id', 'notified', hasOutlivedSilence.as('outlived'), 'about'])
      .where('monitor', '=', name)
      .where('check_kind', '=', check)
      .where('subject', '=', subject)
      .where('state', '=', 'firing')
      .executeTakeFirst()
    // `about` is written here alone
    return found === undefined ? null : { ...found, id: Number(found.id), about: found.about as About }
  }

  const alerts: OpenAlerts = {
    channels: notified,
    async fire(check, result, severity, moment) {
      const isSilent = isSilenced(silences, check, result.subject)
      const { id } = await transaction
        .insertInto('lockstep.alerts')
        .values({
          monitor: name,
          check_kind: check,
          subject: result.subject,
          severity,
          state: 'firing',
          started: String(moment),
          resolved: null,
          resolution: null,
          notified: !isSilent,
          about: JSON.stringify(now),
          started_with: textOf(result),
          result: textOf(result),
        })
        .returning('id')
        .executeTakeFirstOrThrow()
      if (!isSilent) await notifyOf('firing', Number(id))
    },
    async continueFiring(check, result, moment) {
      const alert = await firing(check, result.subject)
      if (alert === null) return
      const isSilent = isSilenced(silences, check, result.subject)
      // a fault that is over, but not yet for long enough to be resolved, notifies nobody
      const isDue = !alert.notified && !isSilent && result.state !== 'ok'
      const joined = [alert.about.held, result.joined].filter((text) => text !== undefined).join(' ')
      const held = isSilent && joined !== '' ? joined : undefined
      await transaction
        .updateTable('lockstep.alerts')
        .set({
          ...(result.state === 'breach' ? { result: textOf(result) } : {}),
          notified: alert.notified || isDue,
          ...(held === alert.about.held ? {} : { about: JSON.stringify({ ...alert.about, held }) }),
        })
        .where('id', '=', String(alert.id))
        .execute()
      if (isDue) await notifyOf('firing', alert.id)
      const stillFires =
        alert.outlived && result.state === 'breach' ? `The silence has ended, and this still fires. ${result.cause ?? ''}` : ''
      const text = joined === '' ? stillFires.trim() : joined
      if (text !== '' && !isSilent) await notifyOf('firing', alert.id, { text, moment })
    },
    async resolve(check, result, moment, resolution) {
      const alert = await firing(check, result.subject)
      if (alert === null) return
      await transaction
        .updateTable('lockstep.alerts')
        .set({ state: 'resolved', resolved: String(moment), resolution, result: textOf(result) })
        .where('id', '=', String(alert.id))
        .execute()
      // a receiver that was notified must learn the end, silenced or not
      if (alert.notified) await notifyOf('resolved', alert.id)
    },
    async remove(check, last, moment) {
      await alerts.resolve(check, last, moment, 'removed')
      await transaction
        .deleteFrom('lockstep.monitor_states')
        .where('monitor', '=', name)
        .where('check_kind', '=', check)
        .where('subject', '=', last.subject)
        .execute()
    },
  }
  return alerts
}

interface AlertRow {
  readonly id: string
  readonly monitor: string
  readonly check_kind: string
  readonly subject: string
  readonly severity: Severity
  readonly started: string
  readonly resolved: string | null
  readonly resolution: AlertMessage['resolution']
  readonly result: unknown
  readonly started_with: unknown
}

function composeMessage(
  event: 'firing' | 'resolved',
  alert: AlertRow,
  { description, runbook }: About,
  installation: string,
  joined: string | undefined,
): AlertMessage {
  const startedWith = alert.started_with as CheckResult // both are written by `fire` and `resolve` alone
  const { value, threshold, n, evidence, cause } = alert.result as CheckResult
  const named = {
    event,
    monitor: alert.monitor,
    check: alert.check_kind,
    subject: alert.subject,
    cause: joined ?? (event === 'firing' ? cause : startedWith.cause),
  }
  return {
    ...named,
    alertKey: `${installation}:alert:${alert.id}`,
    alert: Number(alert.id),
    severity: alert.severity,
    summary: summaryOf({ ...named, resolution: alert.resolution }),
    value,
    threshold,
    n,
    evidence,
    description,
    runbook,
    startedAt: formatTimestamp(Number(alert.started)),
    resolvedAt: alert.resolved === null ? null : formatTimestamp(Number(alert.resolved)),
    resolution: alert.resolution,
  }
}

/** Distinguishes the alerts of this installation from those of others that notify the same receiver. */
export async function installationKey(transaction: Database['kysely']): Promise<string> {
  const { rows } = await sql<{ readonly key: string }>`
    select left(encode(sha256(salt || 'alerts'::bytea), 'hex'), 12) as key from lockstep.installation`.execute(transaction)
  return `lockstep:${rows[0]?.key ?? 'none'}`
}

/** Without the memory of the check, which is no evidence, and without `joined`, which is reported once. */
function textOf(result: CheckResult): string {
  return JSON.stringify({ ...result, memory: undefined, joined: undefined })
}
