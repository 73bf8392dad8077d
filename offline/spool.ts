import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LockstepError, messageOf } from '../kernel/errors.ts'

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
  const failed = (cause: unknown): LockstepError =>
    new LockstepError(
      'WRITE_FAILED',
      `A temporary file in "${folder}" cannot be written: ${messageOf(cause)}. Free space there, or set TMPDIR to another folder.`,
      { cause },
    )
  const file = await openUnnamed(folder).catch((cause: unknown) => {
    throw failed(cause)
  })
  let end = 0
  return {
    async write(bytes) {
      try {
        for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, end + at)).bytesWritten
      } catch (cause) {
        throw failed(cause)
      }
      end += bytes.length
    },
    async *read() {
      for (let at = 0; at < end;) {
        const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at))
        const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
        if (bytesRead === 0) throw new LockstepError('INTERNAL', `A temporary file in "${folder}" lost its data.`)
        at += bytesRead
        yield chunk.subarray(0, bytesRead)
      }
    },
    close: () => file.close(),
  }
}

async function openUnnamed(folder: string): Promise<FileHandle> {
  const own = await mkdtemp(join(folder, 'lockstep-spool-'))
  try {
    return await open(join(own, 'bytes'), 'wx+', 0o600)
  } finally {
    await rm(own, { recursive: true })
  }
}
