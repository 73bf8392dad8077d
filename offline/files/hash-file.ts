import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** SHA-256 of a file, hex; null where there is no such file. */
export async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) {
      signal?.throwIfAborted()
      hash.update(chunk as Buffer)
    }
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    if (signal?.aborted === true) throw cause
    throw new LockstepError('FILE_UNREADABLE', `The file "${path}" could not be read: ${messageOf(cause)}.`, { cause, details: { path } })
  }
  return hash.digest('hex')
}
