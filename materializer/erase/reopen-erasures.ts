import { sql } from 'kysely'
import type { Database } from '../../runtime/database.ts'

/**
 * Has all that erasures did in an online store done again, as far as it is still noted: the store may have lost that,
 * and a copy that has not heard of it may hold what was erased. Who is at it finds that its notes were reopened amid
 * it, and leaves them open.
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
