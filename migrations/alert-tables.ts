import type { ColumnType, Generated } from 'kysely'

type Json = ColumnType<unknown, string, string>

/** A monitor that was evaluated at least once. Evaluations of a monitor lock its row. */
export interface MonitorsTable {
  name: string
  /** The end of the newest evaluated window, epoch microseconds. */
  moment: string | null
  evaluated_at: Date | null
}

/** Where a check of a monitor stands for one subject (monitoring/alerts/alert-state.ts). */
export interface MonitorStatesTable {
  monitor: string
  check_kind: string
  subject: string
  phase: 'ok' | 'pending' | 'firing'
  state: Json
  /** The newest result. */
  result: Json
  /** What the check keeps for its next evaluation. */
  memory: ColumnType<unknown, string | null, string | null>
}

/** An alert, from when it fires. */
export interface AlertsTable {
  id: Generated<string>
  monitor: string
  check_kind: string
  subject: string
  severity: 'page' | 'ticket'
  state: 'firing' | 'resolved'
  /** The moments of the evaluations that let it fire and resolved it, epoch microseconds. */
  started: string
  resolved: string | null
  /** `removed`: its monitor, check or subject is gone. */
  resolution: 'cleared' | 'removed' | null
  /** Whether its channels were notified, or are about to be: not while it is silenced. */
  notified: Generated<boolean>
  /** The description, runbook and channels of its monitor. */
  about: Json
  started_with: Json
  /** The newest result. */
  result: Json
}

/** Alerts that are like it are not sent until it ends. Absent parts match all. */
export interface AlertSilencesTable {
  id: Generated<string>
  monitor: string
  check_kind: string | null
  subject: string | null
  ends_at: Date
  /** Of one that somebody ended: when it would have ended. */
  planned_end: Generated<Date | null>
  reason: string
  created_by: string
  created_at: Generated<Date>
}

/** A notification for a channel, written in the transaction that changes the alert. */
export interface AlertDeliveriesTable {
  id: Generated<string>
  /** null: a test. */
  alert: string | null
  channel: string
  /** The idempotency key: the same for each attempt. */
  key: string
  message: Json
  /** `dropped`: its channel is gone, or it was tried for too long. */
  state: Generated<'open' | 'sent' | 'dropped'>
  attempts: Generated<number>
  error: string | null
  created_at: Generated<Date>
  ended_at: Date | null
}

/** How far the clock of a server is from that of the database, as the server last compared them. */
export interface ServerClocksTable {
  process: string
  read_at: Generated<Date>
  offset_micros: number
  error_micros: number
}
