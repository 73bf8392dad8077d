import type { RawBuilder } from 'kysely'
import { sql } from 'kysely'
import type { Database } from './postgres/database.ts'

/** Who does something, and why. */
export interface Actor {
  /** `user@host`, or the id of an API key. */
  readonly actor: string
  readonly reason?: string | undefined
  /** The id of the HTTP request that asks for the action. */
  readonly requestId?: string | undefined
}

/** The actor if none is named, for example in a program that uses Lockstep's parts. */
export const unknownActor: Actor = { actor: 'unknown' }

/** The action. The name before the point is a group: `model` means all actions that begin with `model.`. */
export type AuditAction =
  | 'apply'
  | 'prune'
  | 'sign'
  | 'ingest'
  | 'ingest.undo'
  | 'source.sync'
  | 'erase'
  | 'backfill.start'
  | 'batch.start'
  | 'training.start'
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
  | 'model.pin'
  | 'model.unpin'
  | 'rollout.start'
  | 'rollout.share'
  | 'rollout.abort'
  | 'rollout.promote'
  | 'rollout.pause'
  | 'rollout.resume'
  | 'rollout.advance'
  | 'rollout.rollback'
  | 'shadow.start'
  | 'shadow.stop'
  | 'experiment.allocate'
  | 'experiment.start'
  | 'experiment.stop'
  | 'experiment.decide'
  | 'dataset.delete'
  | 'predictions.backfill'
  | 'alert.silence'
  | 'alert.unsilence'
  | 'pipeline.pause'
  | 'pipeline.resume'
  | 'pipeline.replay'
  | 'explain'
  | 'receipt'

export interface AuditEntry {
  readonly action: AuditAction
  /** The object of the action: `flights`, `delay@3`, the id of a key. Never the key of an entity. */
  readonly subject: string
  /** The values before and after the action, as JSON, without secrets and entity keys. Absent or null: none. */
  readonly before?: unknown
  readonly after?: unknown
}

/** Actions that change nothing: somebody saw values of entities. */
export const readActions: readonly AuditAction[] = ['explain', 'receipt']

/** An entry of the audit log. */
export interface AuditRecord {
  readonly id: number
  /** The time by the database's clock. */
  readonly at: Date
  readonly actor: string
  /** The name of the API key, if the actor is one. */
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
  /** An actor, the user of an actor, or the name of a key. */
  readonly who?: string | undefined
  /** An action, a group of actions, or a subject with or without its version. */
  readonly what?: string | undefined
  /** The hash of an entity: only entries about its values (`serving/dashboard/explain/audit-read.ts`). */
  readonly entity?: string | undefined
  /** Actions that are left out. */
  readonly without?: readonly AuditAction[] | undefined
  /** Only entries of this moment or before. */
  readonly until?: Date | undefined
  /** Only entries that are older than the entry with this id. */
  readonly before?: number | undefined
  readonly limit: number
}

/** The maximum number of returned entries. */
export const maxAuditRecords = 1000
/** The maximum stored size of `before` and `after`. */
const maxJsonBytes = 16 * 1024

/** Records who changed what, in the transaction that makes the change. */
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

/** A search reads so many records before it uses the index of words: most words have enough of them there. */
const readFirst = 20_000

/** Returns audit records, newest first. */
export async function readAudit({ kysely }: Pick<Database, 'kysely'>, filter: AuditFilter): Promise<AuditRecord[]> {
  const { since, until, who, what, entity, before, without = [] } = filter
  // the expressions of the index `audit_log_by_words`
  const words: RawBuilder<boolean>[] = []
  if (who !== undefined) words.push(sql`array[actor, actor_name, split_part(actor, '@', 1)] @> array[${who}::text]`)
  if (what !== undefined) {
    const groups = sql`split_part(action, '.', 1), substring(action from '^(.*)[.]')`
    words.push(sql`array[action, ${groups}, subject, split_part(subject, '@', 1)] @> array[${what}::text]`)
  }
  const hasWords = sql<boolean>`(${words.length === 0 ? sql`true` : sql.join(words, sql` and `)})`
  let query = kysely.selectFrom('lockstep.audit_log').selectAll().orderBy('id', 'desc').limit(filter.limit)
  if (without.length > 0) query = query.where('action', 'not in', without)
  if (since !== undefined) query = query.where('at', '>=', since)
  if (until !== undefined) query = query.where('at', '<=', until)
  if (before !== undefined) query = query.where('id', '<', String(before))
  if (entity !== undefined) query = query.where(sql<boolean>`strpos(after ->> 'entities', ${entity}) > 0`)
  const newest = sql`coalesce(${before ?? null}::bigint, (select max(id) from lockstep.audit_log))`
  let rows = await (words.length === 0 ? query : query.where(sql<boolean>`${hasWords} and id > ${newest} - ${readFirst}::bigint`)).execute()
  if (words.length > 0 && rows.length < filter.limit) {
    // as an array, because a plan that joins would begin with the newest records
    rows = await query.where(sql<boolean>`id = any(array(select id from lockstep.audit_log where ${hasWords}))`).execute()
  }
  return rows.map(({ id, actor_name, request_id, ...row }) => ({ ...row, id: Number(id), actorName: actor_name, requestId: request_id }))
}

/** Deletes entries older than `retentionDays`, by the database's clock. @returns the number of deleted entries */
export async function forgetAudit({ kysely }: Pick<Database, 'kysely'>, retentionDays: number): Promise<number> {
  const { numDeletedRows } = await kysely
    .deleteFrom('lockstep.audit_log')
    .where('at', '<', sql<Date>`now() - make_interval(days => ${retentionDays}::int)`)
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

/** Shortens a large change to its beginning. */
function bounded(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  return bytes <= maxJsonBytes ? text : JSON.stringify({ bytes, beginning: text.slice(0, maxJsonBytes / 4).toWellFormed() })
}
