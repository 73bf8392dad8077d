import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isUnavailable } from '../../runtime/postgres/postgres-unavailable.ts'

/**
 * Reads the bytes of a model version.
 *
 * @throws LockstepError `POSTGRES_UNAVAILABLE`, also where the database fails meanwhile
 */
export async function modelBytes(db: Database, model: string, version: number): Promise<Uint8Array> {
  try {
    return await readModelBytes(db, model, version)
  } catch (cause) {
    if (!isUnavailable(cause)) throw cause
    const message = `The database was lost while "${model}@${version}" was read: ${messageOf(cause)}`
    throw new LockstepError('POSTGRES_UNAVAILABLE', message, { cause })
  }
}
