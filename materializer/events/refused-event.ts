import { CompiledQuery } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { AppendOptions } from './append-events.ts'
import { insertParameters, isRefusedByTable } from './append-events.ts'
import type { EventRefusal, SourceEvent } from './event-reader.ts'
import type { EventTable } from './event-table.ts'

/**
 * The error for the sender of events that the table refuses: it has the index of the first such event. The database
 * does not report it, so the events are inserted again part by part, and rolled back.
 *
 * @param error `INVALID_ROW` of `appendEvents`
 */
export async function refusedEvent(
  db: Database,
  table: EventTable,
  events: readonly SourceEvent[],
  options: AppendOptions,
  error: LockstepError,
): Promise<LockstepError> {
  const event = await countAccepted(db, table, events, options)
  const reason: EventRefusal = 'refused_by_table'
  return new LockstepError('INVALID_EVENT', `Event ${event} cannot be stored. ${error.message}`, {
    cause: error.cause,
    details: { ...error.details, event, reason },
  })
}

const rolledBack = new Error('rolled back')

/** How many of the first events the table accepts together: fewer than all. */
async function countAccepted(db: Database, table: EventTable, events: readonly SourceEvent[], options: AppendOptions): Promise<number> {
  let [accepted, refused] = [0, events.length]
  try {
    await db.kysely.transaction().execute(async (transaction) => {
      const run = (text: string, parameters: unknown[] = []) => transaction.executeQuery(CompiledQuery.raw(text, parameters))
      // else the commit would check them
      await run('SET CONSTRAINTS ALL IMMEDIATE')
      while (refused - accepted > 1) {
        const middle = (accepted + refused) >>> 1
        await run('SAVEPOINT part')
        try {
          // accepted rows stay, because later ones may conflict with them
          await run(table.insert, insertParameters(table, events.slice(accepted, middle), options))
          accepted = middle
        } catch (error) {
          if (!isRefusedByTable(error)) throw error
          await run('ROLLBACK TO SAVEPOINT part')
          refused = middle
        }
      }
      throw rolledBack
    })
  } catch (error) {
    if (error !== rolledBack) throw error
  }
  return accepted
}
