import type { ErrorCode } from '../kernel/errors.ts'
import { LockstepError } from '../kernel/errors.ts'
import { isUnavailable } from './postgres/postgres-unavailable.ts'
import { sqlState } from './postgres/relation.ts'

/** A service that the work needs is down, or starts. */
const outageCodes: ReadonlySet<ErrorCode> = new Set([
  'POSTGRES_UNAVAILABLE',
  'REDIS_UNAVAILABLE',
  'STREAM_UNAVAILABLE',
  'STORAGE_UNAVAILABLE',
])
const outageStates: ReadonlySet<string> = new Set([
  '25006', // a standby, which takes no writes: the primary fails over
  '53100', // the disk is full
])
/** Something is stopping or overloaded. */
const temporaryCodes: ReadonlySet<ErrorCode> = new Set(['NOT_READY', 'BUSY', 'OVERLOADED', 'STOPPED'])
const temporaryStates: ReadonlySet<string> = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock not available
  '57014', // cancelled, for it took too long
])
/** Connections; resources (disk, memory, connections); errors of the system under the server. */
const temporaryClasses: ReadonlySet<string> = new Set(['08', '53', '58'])

/**
 * Whether the same work may succeed later, unchanged: the one place that decides which failures a worker waits out. It
 * goes by codes and SQLSTATE, of the error or of what caused it.
 */
export function isTemporary(error: unknown): boolean {
  if (isOutage(error) || (error instanceof LockstepError && temporaryCodes.has(error.code))) return true
  const state = sqlState(error)
  return temporaryStates.has(state) || temporaryClasses.has(state.slice(0, 2))
}

/** Whether a database, store, stream or storage is down, read-only or full: the work itself is not the cause. */
export function isOutage(error: unknown): boolean {
  if (error instanceof LockstepError && outageCodes.has(error.code)) return true
  return isUnavailable(error) || outageStates.has(sqlState(error))
}

/** Whether a disk of this process is full: the same work may succeed in another one. */
export function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT')) return true
  return false
}
