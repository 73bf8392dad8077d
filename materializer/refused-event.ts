import { CompiledQuery } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { Database } from '../runtime/database.ts'
import type { AppendOptions } from './append-events.ts'
import { insertParameters, isRefusedByTable } from './append-events.ts'
import type { EventRefusal, SourceEvent } from './event-reader.ts'
import type { EventTable } from './event-table.ts'

/**
 * The error for the sender of events that the table refuses: it has the index of the first such event. The database
 * does not report it, so some of the events are inserted again, and rolled back.
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
  let [accepted, refused] = [0, events.length]
  while (refused - accepted > 1) {
    const middle = (accepted + refused) >>> 1
    if (await isRefused(db, table, insertParameters(table, events.slice(accepted, middle), options))) refused = middle
    else accepted = middle
  }
  const reason: EventRefusal = 'refused_by_table'
  return new LockstepError('INVALID_EVENT', `Event ${accepted} cannot be stored. ${error.message}`, {
    cause: error.cause,
    details: { ...error.details, event: accepted, reason },
  })
}

const rolledBack = new Error('rolled back')

async function isRefused(db: Database, { insert }: EventTable, parameters: readonly unknown[]): Promise<boolean> {
  try {
    await db.kysely.transaction().execute(async (transaction) => {
      await transaction.executeQuery(CompiledQuery.raw(insert, [...parameters]))
      throw rolledBack
    })
  } catch (error) {
    if (error === rolledBack) return false
    if (isRefusedByTable(error)) return true
    throw error
  }
  return false
}
