import { tmpdir } from 'node:os'
import { LockstepError } from '../kernel/errors.ts'
import { openUnnamed, writeAll } from './unnamed-file.ts'

/**
 * Bytes that wait in a temporary file until they can be read. The file has no name for longer than it takes to open it,
 * so that a killed process leaves nothing.
 */
export interface Spool {
  write(bytes: Uint8Array): Promise<void>
  /** All that was written, in order. */
  read(): AsyncGenerator<Uint8Array>
  close(): Promise<void>
}

const chunkBytes = 1 << 18

/** @throws LockstepError `WRITE_FAILED` where the folder takes no file, or no more bytes */
export async function openSpool(): Promise<Spool> {
  const folder = tmpdir()
  const file = await openUnnamed(folder)
  let end = 0
  return {
    async write(bytes) {
      await writeAll(file, bytes, end, folder)
      end += bytes.length
    },
    async *read() {
      for (let at = 0; at < end;) {
        const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at))
        const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
        if (bytesRead === 0)
          throw new LockstepError('INTERNAL', `A temporary file in "${folder}" lost its data. Check the disk, and run the command again.`)
        at += bytesRead
        yield chunk.subarray(0, bytesRead)
      }
    },
    close: () => file.close(),
  }
}
