import { listModelEvents } from '../../../registry/models/model-events.ts'
import { readLastRollout } from '../../../registry/rollouts/rollout.ts'
import type { Database } from '../../../runtime/postgres/database.ts'

/** Another one after each change of which version answers: promotions, pins, and steps of rollouts. */
export async function modelRevision(db: Database, model: string): Promise<string> {
  const [event] = await listModelEvents(db, model, 1)
  const rollout = await readLastRollout(db.kysely, model)
  const { id, revision, state } = rollout ?? { id: 0, revision: 0, state: 'none' }
  return `${event?.id ?? 0}.${id}.${revision}.${state}`
}
