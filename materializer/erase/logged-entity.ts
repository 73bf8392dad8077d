import type { EntityKey } from '../../kernel/entity-key.ts'

/** How far the clock of a machine that logs may be from the database's. */
export const clockSlackMs = 60_000

/** How the log names an entity that was read: its name, a zero byte, and its key. */
export function loggedEntity(entity: string, key: EntityKey): Buffer {
  return Buffer.concat([Buffer.from(`${entity}\0`), Buffer.from(key, 'latin1')])
}

/**
 * Deletes every logged row that was made of an entity. To be run in a transaction that has run `lockPredictionLog`, so
 * that no row is written beside it which it does not see.
 *
 * @param until of rows that were logged by then alone, epoch milliseconds
 */
export function forgetLoggedEntity(entity: string, key: EntityKey, until?: number): string {
  const named = `'\\x${loggedEntity(entity, key).toString('hex')}'::bytea`
  const before = until === undefined ? '' : ` AND at <= to_timestamp(${until / 1000})`
  return `DELETE FROM lockstep.prediction_log WHERE entities @> ARRAY[${named}]${before}`
}

export const lockPredictionLog = 'LOCK TABLE lockstep.prediction_log IN SHARE ROW EXCLUSIVE MODE'
