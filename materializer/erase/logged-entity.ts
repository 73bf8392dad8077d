import type { EntityKey } from '../../kernel/values/entity-key.ts'

/** The greatest difference between the clock of a machine that logs and the database's. */
export const clockSlackMs = 60_000

/** The log's name of an entity that was read: its name, a zero byte, and its key. */
export function loggedEntity(entity: string, key: EntityKey): Buffer {
  return Buffer.concat([Buffer.from(`${entity}\0`), Buffer.from(key, 'latin1')])
}

/**
 * Deletes every logged row that was made from an entity. Run it in a transaction that has run `lockPredictionLog`, so
 * that no concurrent write is missed. Delete the outcomes of the rows before (`loggedIds`): then nothing says whose
 * they are.
 *
 * @param until deletes only rows that were logged by then, epoch milliseconds
 */
export function forgetLoggedEntity(entity: string, key: EntityKey, until?: number): string {
  return `DELETE FROM lockstep.prediction_log WHERE ${loggedOf(entity, key, until)}`
}

/** Deletes the exposures of units whose first row was made from an entity. Run `lockExposures` before. */
export function forgetExposures(entity: string, key: EntityKey, until?: number): string {
  return `DELETE FROM lockstep.exposures WHERE ${loggedOf(entity, key, until, 'exposed_at')}`
}

/** SQL that selects the ids of the predictions that were made from an entity. */
export function loggedIds(entity: string, key: EntityKey, until?: number): string {
  return `SELECT prediction_id FROM lockstep.prediction_log WHERE ${loggedOf(entity, key, until)} AND prediction_id IS NOT NULL
    UNION SELECT prediction_id FROM lockstep.exposures WHERE ${loggedOf(entity, key, until, 'exposed_at')} AND prediction_id IS NOT NULL`
}

function loggedOf(entity: string, key: EntityKey, until: number | undefined, at: 'at' | 'exposed_at' = 'at'): string {
  const named = `'\\x${loggedEntity(entity, key).toString('hex')}'::bytea`
  const before = until === undefined ? '' : ` AND ${at} <= to_timestamp(${until / 1000})`
  return `entities @> ARRAY[${named}]${before}`
}

export const lockExposures = 'LOCK TABLE lockstep.exposures IN SHARE ROW EXCLUSIVE MODE'
export const lockPredictionLog = 'LOCK TABLE lockstep.prediction_log IN SHARE ROW EXCLUSIVE MODE'
