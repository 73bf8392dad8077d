import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMs } from '../../runtime/postgres/database-clock.ts'
import { defaultReplayMs, detectFailover } from '../runs/detect-failover.ts'

/**
 * Deletes the notes of erasures, and with them the keys, once every copy of the store surely has their changes:
 * `replayMs` after the work was done. First checks for a failover that was not noticed yet.
 */
export async function forgetErased(
  db: Database,
  store: OnlineStore,
  { replayMs = defaultReplayMs, nowMs }: { readonly replayMs?: number | undefined; readonly nowMs: number },
): Promise<void> {
  const table = 'lockstep.erasure_states'
  const until = new Date((await sharedNowMs(db, nowMs)) - replayMs)
  const found = await db.kysely.selectFrom(table).select('erasure').where('done_at', '<=', until).limit(1).executeTakeFirst()
  if (found === undefined) return
  await detectFailover(db, store, { replayMs, nowMs })
  await db.kysely.deleteFrom(table).where('done_at', '<=', until).execute()
}
