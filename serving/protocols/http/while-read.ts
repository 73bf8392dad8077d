import { LockstepError } from '../../../kernel/errors.ts'
import type { Database } from '../../../runtime/database.ts'
import type { Call } from './call.ts'

/**
 * The database for reads that end with their request: once its client has disconnected, or was answered that it took
 * too long, PostgreSQL cancels the statement. Without it, a statement would use the database, and a place of its key,
 * for an answer that nobody reads. Snapshots, and reads by Kysely, go on to the end of a statement.
 */
export function whileRead({ outgoing }: Pick<Call, 'outgoing'>, db: Database): { readonly db: Database; readonly signal: AbortSignal } {
  const gone = new AbortController()
  const leave = () => gone.abort(new LockstepError('DEADLINE_EXCEEDED', 'The request is no longer waiting for it.'))
  if (outgoing.destroyed) leave()
  else outgoing.once('close', leave)
  const { signal } = gone
  return { signal, db: { ...db, query: (sql, parameters, options) => db.query(sql, parameters, { ...options, signal }) } }
}
