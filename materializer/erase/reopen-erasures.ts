import { sql } from 'kysely'
import type { Database } from '../../runtime/postgres/database.ts'

/**
 * Reopens the noted work of all erasures in an online store, so that it is done again. The store may have lost the
 * changes, and a copy without them may still hold erased states. A process that is working on a note at that moment
 * finds that it was reopened, and leaves it open.
 *
 * @returns how many erasures
 */
export async function reopenErasures({ kysely }: Pick<Database, 'kysely'>): Promise<number> {
  return await kysely.transaction().execute(async (transaction) => {
    await sql`update lockstep.erasure_states set done_at = null, emptied = null, reopened = reopened + 1`.execute(transaction)
    const { numAffectedRows } = await sql`
      update lockstep.erasures set finished_at = null where finished_at is not null and id in (select erasure from lockstep.erasure_states)`.execute(
      transaction,
    )
    return Number(numAffectedRows ?? 0)
  })
}
