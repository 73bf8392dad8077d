import { createHash } from 'node:crypto'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { readStream } from './file-bytes.ts'

/** SHA-256 of a file or an object, hex; null where there is none of that name. */
export async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of readStream(path)) {
      signal?.throwIfAborted()
      hash.update(chunk as Buffer)
    }
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    if (isStoredObject(path) && cause instanceof LockstepError) {
      if (cause.code === 'FILE_UNREADABLE') return null
      throw cause
    }
    if (signal?.aborted === true) throw cause
    throw new LockstepError('FILE_UNREADABLE', `The file "${path}" could not be read: ${messageOf(cause)}.`, { cause, details: { path } })
  }
  return hash.digest('hex')
}
