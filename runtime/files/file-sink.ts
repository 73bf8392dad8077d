import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { open, stat, unlink } from 'node:fs/promises'
import { LockstepError } from '../../kernel/errors.ts'
import type { SealedFile } from './place-files.ts'
import { partialName } from './partial-file.ts'
import { writeFailed } from './place-files.ts'

/** Takes the bytes of a file, in order. */
export interface ByteSink<Sealed> {
  write(bytes: Uint8Array): Promise<void>
  /** Ends the file. `sha256` is the hash of the bytes, hex. */
  seal(): Promise<Sealed>
  /** It may be called after a failure, and any number of times. */
  abort(): Promise<void>
}

/**
 * A file under a hidden temporary name in the folder of its path (`.name.….partial`). It is complete once it is sealed;
 * `placeFiles` gives it its final name.
 */
export interface FileSink extends ByteSink<SealedFile & { readonly bytes: number; readonly sha256: string }> {
  /** Waits until all bytes are on the disk. */
  seal(): Promise<SealedFile & { readonly bytes: number; readonly sha256: string }>
  /** Removes the file, sealed or not. */
  abort(): Promise<void>
}

/** A device or a pipe would be replaced by the file. */
async function refuseSpecialFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found === null || found.isFile() || found.isDirectory()) return
  throw new LockstepError('WRITE_FAILED', `"${path}" is no regular file, so nothing is written to it. Choose another place.`, {
    details: { path },
  })
}

/** @throws LockstepError `WRITE_FAILED` where the folder cannot be written, or the path names a device or a pipe */
export async function createFileSink(path: string): Promise<FileSink> {
  await refuseSpecialFile(path)
  const partial = await partialName(path)
  const hash = createHash('sha256')
  let bytes = 0
  let file: FileHandle | null = await open(partial, 'wx').catch((cause: unknown) => {
    throw writeFailed(path, cause)
  })

  async function abort(): Promise<void> {
    const handle = file
    file = null
    await handle?.close().catch(() => undefined)
    await unlink(partial).catch(() => undefined)
  }

  async function attempt<T>(action: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (file === null) throw new LockstepError('WRITE_FAILED', `The file "${path}" is already closed; open it again to write.`)
    try {
      return await action(file)
    } catch (cause) {
      await abort()
      throw cause instanceof LockstepError ? cause : writeFailed(path, cause)
    }
  }

  return {
    write: (chunk) =>
      attempt(async (handle) => {
        for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at, chunk.length - at)).bytesWritten
        hash.update(chunk)
        bytes += chunk.length
      }),
    seal: () =>
      attempt(async (handle) => {
        await handle.sync()
        file = null
        await handle.close()
        return { partial, path, bytes, sha256: hash.digest('hex') }
      }),
    abort,
  }
}
