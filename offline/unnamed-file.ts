import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/**
 * Opens a temporary file. It has no name for longer than it takes to open it, so that a killed process leaves nothing.
 *
 * @throws LockstepError `WRITE_FAILED` where the folder takes no file
 */
export async function openUnnamed(folder: string): Promise<FileHandle> {
  try {
    const own = await mkdtemp(join(folder, 'lockstep-'))
    try {
      return await open(join(own, 'rows'), 'wx+', 0o600)
    } finally {
      await rm(own, { recursive: true })
    }
  } catch (cause) {
    throw writeFailed(`No temporary file can be created in "${folder}"`, cause)
  }
}

/** Writes all bytes at a position. @throws LockstepError `WRITE_FAILED` where the folder takes no more */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number, folder: string): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  } catch (cause) {
    throw writeFailed(`A temporary file in "${folder}" cannot be written`, cause)
  }
}

function writeFailed(what: string, cause: unknown): LockstepError {
  return new LockstepError('WRITE_FAILED', `${what}: ${messageOf(cause)}. Free space there, or set TMPDIR to another folder.`, { cause })
}
