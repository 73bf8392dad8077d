import type { Selectable } from 'kysely'
import { sql } from 'kysely'
import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { AlertSilencesTable } from '../../migrations/alert-tables.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readAlert } from './read-alerts.ts'

type Handle = Pick<Database, 'kysely'>

/** How long a silence may be. */
export const maxSilence = '30d'

/**
 * The length of a silence, microseconds.
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function silenceMicros(text: string): number {
  try {
    const micros = parseDuration(text)
    if (micros <= parseDuration(maxSilence)) return micros
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
  }
  throw new LockstepError('INVALID_REQUEST', `A silence cannot last "${text}"; write a duration of ${maxSilence} at most, such as "2h".`)
}

/** Alerts that it matches are not sent until it ends. They still fire and resolve. */
export interface Silence {
  readonly id: number
  readonly monitor: string
  /** null: all. */
  readonly check: string | null
  readonly subject: string | null
  readonly endsAt: Date
  readonly reason: string
  readonly createdBy: string
}

export async function activeSilences({ kysely }: Handle, monitor?: string): Promise<Silence[]> {
  let query = kysely
    .selectFrom('lockstep.alert_silences')
    .selectAll()
    .where('ends_at', '>', sql<Date>`clock_timestamp()`)
    .orderBy('id')
  if (monitor !== undefined) query = query.where('monitor', '=', monitor)
  const rows = await query.execute()
  return rows.map(silenceOf)
}

function silenceOf({
  id,
  monitor,
  check_kind: check,
  subject,
  ends_at: endsAt,
  reason,
  created_by: createdBy,
}: Selectable<AlertSilencesTable>): Silence {
  return { id: Number(id), monitor, check, subject, endsAt, reason, createdBy }
}

/** The silences `s` of the row `a` of `lockstep.alerts`. */
const ofAlert = sql`lockstep.alert_silences s
  where s.monitor = a.monitor and (s.check_kind is null or s.check_kind = a.check_kind) and (s.subject is null or s.subject = a.subject)`

/** When the last of the silences of an alert ends or ended: an expression over the row `a` of `lockstep.alerts`. */
export const endOfSilences = sql<Date | null>`(select max(s.ends_at) from ${ofAlert})`

/**
 * Whether a silence of an alert has run out since its channels were last notified that it fires: an expression over the
 * row `a` of `lockstep.alerts`. A silence that a person ended has not run out. A notification that waits is sent then.
 */
export const hasOutlivedSilence = sql<boolean>`exists (select from ${ofAlert}
  and s.planned_end is null and s.ends_at <= clock_timestamp() and s.ends_at > (
    select max(d.created_at) from lockstep.alert_deliveries d
    where d.alert = a.id and d.message->>'event' = 'firing' having bool_and(d.state <> 'open')))`

export function isSilenced(silences: readonly Silence[], check: string, subject: string): boolean {
  return silences.some((each) => (each.check === null || each.check === check) && (each.subject === null || each.subject === subject))
}

/**
 * Silences an alert, and those after it of the same monitor, check and subject.
 *
 * @throws LockstepError `NOT_FOUND`
 */
export async function silenceAlert({ kysely }: Handle, id: number, micros: number, by: Actor): Promise<Silence> {
  return await kysely.transaction().execute(async (transaction) => {
    const alert = await readAlert({ kysely: transaction }, id)
    const { actor, reason = '' } = by
    const silence = { monitor: alert.monitor, check_kind: alert.check, subject: alert.subject, reason, created_by: actor }
    const row = await transaction
      .insertInto('lockstep.alert_silences')
      .values({ ...silence, ends_at: sql<Date>`clock_timestamp() + make_interval(secs => ${micros / 1e6}::float8)` })
      .returningAll()
      .executeTakeFirstOrThrow()
    const after = { alert: id, check: alert.check, subject: alert.subject, until: row.ends_at.toISOString() }
    await recordAudit({ kysely: transaction }, by, { action: 'alert.silence', subject: alert.monitor, after })
    return silenceOf(row)
  })
}

/**
 * Ends the silences of an alert. If it still fires, its monitor's next evaluation sends what was held back.
 *
 * @throws LockstepError `NOT_FOUND`, `INVALID_REQUEST` where it is not silenced
 */
export async function unsilenceAlert({ kysely }: Handle, id: number, by: Actor): Promise<void> {
  await kysely.transaction().execute(async (transaction) => {
    const { monitor, check, subject } = await readAlert({ kysely: transaction }, id)
    const ended = await transaction
      .updateTable('lockstep.alert_silences')
      .set((eb) => ({ ends_at: sql<Date>`clock_timestamp()`, planned_end: eb.ref('ends_at') }))
      .where('monitor', '=', monitor)
      .where('ends_at', '>', sql<Date>`clock_timestamp()`)
      .where((eb) => eb.or([eb('check_kind', 'is', null), eb('check_kind', '=', check)]))
      .where((eb) => eb.or([eb('subject', 'is', null), eb('subject', '=', subject)]))
      .returning('id')
      .execute()
    if (ended.length === 0) throw new LockstepError('INVALID_REQUEST', `The alert "${id}" is not silenced.`, { details: { id } })
    await recordAudit({ kysely: transaction }, by, { action: 'alert.unsilence', subject: monitor, before: { alert: id, check, subject } })
  })
}
