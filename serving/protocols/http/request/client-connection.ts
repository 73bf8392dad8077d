import type { ErrorCode } from '../../../../kernel/errors.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { ChangeOptions } from '../../../../registry/change-transaction.ts'
import type { Database } from '../../../../runtime/postgres/database.ts'
import { liftDeadline } from '../../../traffic/request-deadline.ts'
import type { Call } from '../call.ts'

/**
 * The database for reads that end with their request: once its client has disconnected, or was answered that it took
 * too long, PostgreSQL cancels the statement. Otherwise the statement would use the database, and a place of its key,
 * for an answer that nobody reads. Snapshots, and reads by Kysely, continue to the end of a statement.
 */
export function cancelOnDisconnect(call: Pick<Call, 'outgoing'>, db: Database): { readonly db: Database; readonly signal: AbortSignal } {
  const signal = disconnected(call, 'DEADLINE_EXCEEDED')
  return { signal, db: { ...db, query: (sql, parameters, options) => db.query(sql, parameters, { ...options, signal }) } }
}

/**
 * A change is not made after its client has disconnected or was answered that it took too long. Once it is made its
 * deadline is lifted: a client that is answered with an error would make it again.
 */
export function commitWhileConnected(call: Call): Required<ChangeOptions> & { readonly signal: AbortSignal } {
  const signal = disconnected(call, 'NOT_PROMOTABLE')
  return {
    signal,
    beforeCommit() {
      signal.throwIfAborted()
      liftDeadline(call.deadline)
    },
  }
}

function disconnected({ outgoing }: Pick<Call, 'outgoing'>, code: ErrorCode): AbortSignal {
  const controller = new AbortController()
  const abort = () => controller.abort(new LockstepError(code, 'The request is no longer waiting for it.'))
  if (outgoing.destroyed) abort()
  else outgoing.once('close', abort)
  return controller.signal
}
