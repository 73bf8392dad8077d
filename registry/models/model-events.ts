import type { Kysely } from 'kysely'
import type { LockstepTables, ModelAction } from '../../migrations/schema.ts'
import type { Actor, AuditAction } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { championAlias } from './model-aliases.ts'

/**
 * A change of a model: a version pushed, an alias set (`promote`), set back (`rollback`) or removed (`remove`), a
 * version deleted (`remove` without an alias), or the model pinned to a version (`pin`) or unpinned (`unpin`).
 */
export interface ModelEvent {
  readonly id: number
  readonly model: string
  readonly action: ModelAction
  /** null for a push, a deleted version, and a pin. */
  readonly alias: string | null
  /** The version before the change. For a first champion, the version that answered until then. null: none. */
  readonly from: number | null
  /** The version after the change, or the pushed version; null: none. */
  readonly to: number | null
  readonly actor: string
  readonly reason: string | null
  readonly at: Date
}

/** The maximum number of returned events. */
export const maxModelEvents = 1000

/** The changes of a model, newest first: the newest `limit`. */
export async function listModelEvents(db: Database, model: string, limit = 100): Promise<ModelEvent[]> {
  const rows = await db.kysely
    .selectFrom('lockstep.model_events')
    .selectAll()
    .where('model', '=', model)
    .orderBy('id', 'desc')
    .limit(Math.min(limit, maxModelEvents))
    .execute()
  return rows.map(({ id, from_version, to_version, ...row }) => ({ ...row, id: Number(id), from: from_version, to: to_version }))
}

/**
 * Records a change in the model's history, which is kept for good, and in the audit log. Call it in the transaction
 * that makes the change.
 */
export async function recordModelEvent(
  transaction: Kysely<LockstepTables>,
  {
    model,
    action,
    alias,
    from,
    to,
    sha256,
    ...by
  }: Pick<ModelEvent, 'model' | 'action' | 'alias' | 'from' | 'to'> & Actor & { readonly sha256?: string },
): Promise<void> {
  const { actor, reason } = by
  const pointed = (version: number | null) => (version === null ? null : alias === null ? { version, sha256 } : { alias, version })
  await recordAudit({ kysely: transaction }, by, {
    action: auditAction(action, alias),
    subject: alias === null ? `${model}@${to ?? from}` : model,
    before: pointed(from),
    after: pointed(to),
  })
  await transaction
    .insertInto('lockstep.model_events')
    .values({ model, action, alias, from_version: from, to_version: to, actor, reason: reason ?? null })
    .execute()
}

function auditAction(action: ModelAction, alias: string | null): AuditAction {
  switch (action) {
    case 'push':
      return 'model.push'
    case 'promote':
      return alias === championAlias ? 'model.promote' : 'model.alias'
    case 'rollback':
      return 'model.rollback'
    case 'remove':
      return alias === null ? 'model.delete' : 'model.alias.remove'
    case 'pin':
      return 'model.pin'
    case 'unpin':
      return 'model.unpin'
    default:
      return action satisfies never
  }
}
