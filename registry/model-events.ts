import type { Kysely } from 'kysely'
import type { LockstepTables, ModelAction } from '../migrations/schema.ts'
import type { Database } from '../runtime/database.ts'

/** Who does something to a model, and why. */
export interface Actor {
  /** As `user@host`, or the API key's id. */
  readonly actor: string
  readonly reason?: string | undefined
}

/** What was done to a model: a version pushed, an alias set (`promote`), set back (`rollback`) or taken away (`remove`). */
export interface ModelEvent {
  readonly id: number
  readonly model: string
  readonly action: ModelAction
  /** null of a push. */
  readonly alias: string | null
  /** What the alias pointed at before; of the first champion, the version that answered until then; null: nothing. */
  readonly from: number | null
  /** What it points at from then on, or the version that was pushed; null: nothing. */
  readonly to: number | null
  readonly actor: string
  readonly reason: string | null
  readonly at: Date
}

/** How many events are given at most. */
export const maxModelEvents = 1000

/** What was done to a model, newest first: the newest `limit`, 100 where it is not given. */
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

/** Within the transaction that does it. */
export async function recordModelEvent(
  transaction: Kysely<LockstepTables>,
  { model, action, alias, from, to, actor, reason }: Pick<ModelEvent, 'model' | 'action' | 'alias' | 'from' | 'to'> & Actor,
): Promise<void> {
  await transaction
    .insertInto('lockstep.model_events')
    .values({ model, action, alias, from_version: from, to_version: to, actor, reason: reason ?? null })
    .execute()
}
