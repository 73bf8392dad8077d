import { sql } from 'kysely'
import type { Database } from './database.ts'

/** Who does something, and why. */
export interface Actor {
  /** As `user@host`, or the API key's id. */
  readonly actor: string
  readonly reason?: string | undefined
  /** Of the HTTP request that asks for it. */
  readonly requestId?: string | undefined
}

/** Where nobody says who it is, as in a program that uses Lockstep's parts. */
export const unknownActor: Actor = { actor: 'unknown' }

/** What was done. A name before a point groups what belongs together: `model` means all that begin with `model.`. */
export type AuditAction =
  | 'apply'
  | 'prune'
  | 'sign'
  | 'ingest'
  | 'ingest.undo'
  | 'erase'
  | 'backfill.start'
  | 'backfill.cancel'
  | 'dead-letter.retry'
  | 'dead-letter.drop'
  | 'job.retry'
  | 'job.cancel'
  | 'keys.create'
  | 'keys.rotate'
  | 'keys.revoke'
  | 'model.push'
  | 'model.promote'
  | 'model.rollback'
  | 'model.alias'
  | 'model.alias.remove'
  | 'model.delete'
  | 'dataset.delete'

export interface AuditEntry {
  readonly action: AuditAction
  /** What it was done to: `flights`, `delay@3`, the id of a key. Never the key of an entity. */
  readonly subject: string
  /** What was there before and after, as JSON; without secrets and keys of entities. Absent or null: nothing. */
  readonly before?: unknown
  readonly after?: unknown
}

/** A line of the audit log. */
export interface AuditRecord {
  readonly id: number
  /** By the clock of the database. */
  readonly at: Date
  readonly actor: string
  /** The name of the API key, where it was one. */
  readonly actorName: string | null
  readonly action: string
  readonly subject: string
  readonly before: unknown
  readonly after: unknown
  readonly reason: string | null
  readonly requestId: string | null
}

export interface AuditFilter {
  readonly since?: Date | undefined
  /** An actor, the user of one, or the name of a key. */
  readonly who?: string | undefined
  /** An action, the beginning of one up to a point, or a subject, with or without its version. */
  readonly what?: string | undefined
  /** Only what is older than the line of that id. */
  readonly before?: number | undefined
  readonly limit: number
}

/** How many lines are given at most. */
export const maxAuditRecords = 1000
/** What is kept of `before` and `after`. */
const maxJsonBytes = 16 * 1024

/** Writes down who changed what, within the transaction that changes it. */
export async function recordAudit(
  { kysely }: Pick<Database, 'kysely'>,
  { actor, reason, requestId }: Actor,
  { action, subject, before, after }: AuditEntry,
): Promise<void> {
  await kysely
    .insertInto('lockstep.audit_log')
    .values({
      actor,
      actor_name: sql<string | null>`(select name from lockstep.api_keys where id = ${actor})`,
      action,
      subject,
      before: bounded(before),
      after: bounded(after),
      reason: reason ?? null,
      request_id: requestId ?? null,
    })
    .execute()
}

/** Newest first. */
export async function readAudit({ kysely }: Pick<Database, 'kysely'>, filter: AuditFilter): Promise<AuditRecord[]> {
  const { since, who, what, before } = filter
  let query = kysely.selectFrom('lockstep.audit_log').selectAll().orderBy('id', 'desc').limit(filter.limit)
  if (since !== undefined) query = query.where('at', '>=', since)
  if (before !== undefined) query = query.where('id', '<', String(before))
  if (who !== undefined) query = query.where(sql<boolean>`${who} in (actor, actor_name, split_part(actor, '@', 1))`)
  if (what !== undefined) {
    query = query.where(sql<boolean>`(${what} in (action, subject, split_part(subject, '@', 1)) or starts_with(action, ${`${what}.`}))`)
  }
  const rows = await query.execute()
  return rows.map(({ id, actor_name, request_id, ...row }) => ({ ...row, id: Number(id), actorName: actor_name, requestId: request_id }))
}

/** Deletes what is older, by the clock of the database. @returns how many lines */
export async function forgetAudit({ kysely }: Pick<Database, 'kysely'>, retentionDays: number): Promise<number> {
  const { numDeletedRows } = await kysely
    .deleteFrom('lockstep.audit_log')
    .where('at', '<', sql<Date>`now() - make_interval(days => ${retentionDays}::int)`)
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

/** A large change is shown by its beginning. */
function bounded(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  return bytes <= maxJsonBytes ? text : JSON.stringify({ bytes, beginning: text.slice(0, maxJsonBytes / 4).toWellFormed() })
}
