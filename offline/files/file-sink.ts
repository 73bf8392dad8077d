import { createHash, randomUUID } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { access, link, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/**
 * A file that is whole or not there: bytes go to a hidden temporary name in the same folder (`.name.….partial`), and `close` gives it its
 * own name once all of them are on the disk.
 */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>
  close(): Promise<{ readonly bytes: number; readonly sha256: string }>
  abort(): Promise<void>
}

export async function createFileSink(path: string, options: { readonly overwrite: boolean }): Promise<FileSink> {
  if (!options.overwrite && (await exists(path))) throw alreadyThere(path)
  const partial = join(dirname(path), `.${basename(path)}.${randomUUID()}.partial`)
  const hash = createHash('sha256')
  let bytes = 0
  let file: FileHandle | null = await open(partial, 'wx').catch((cause: unknown) => {
    throw failed(path, cause)
  })

  async function abort(): Promise<void> {
    const handle = file
    file = null
    if (handle === null) return
    await handle.close().catch(() => {})
    await unlink(partial).catch(() => {})
  }

  async function attempt<T>(action: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (file === null) throw new LockstepError('WRITE_FAILED', `The file "${path}" is closed already; open it again to write.`)
    try {
      return await action(file)
    } catch (cause) {
      await abort()
      throw cause instanceof LockstepError ? cause : failed(path, cause)
    }
  }

  return {
    write: (chunk) =>
      attempt(async (handle) => {
        for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at, chunk.length - at)).bytesWritten
        hash.update(chunk)
        bytes += chunk.length
      }),
    close: () =>
      attempt(async (handle) => {
        await handle.sync()
        if (options.overwrite) await rename(partial, path)
        else await nameWithoutReplacing(partial, path)
        file = null
        await handle.close()
        await syncFolder(dirname(path))
        return { bytes, sha256: hash.digest('hex') }
      }),
    abort,
  }
}

/** A hard link fails where the name is taken, so that of two writers one wins; file systems without links get a check and a rename. */
async function nameWithoutReplacing(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path)
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST' || (await exists(path))) throw alreadyThere(path)
    await rename(partial, path)
    return
  }
  await unlink(partial)
}

/** Makes the name itself durable; some systems cannot open a folder, and then it is durable soon. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  await handle?.sync().catch(() => {})
  await handle?.close()
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function alreadyThere(path: string): LockstepError {
  return new LockstepError('FILE_EXISTS', `The file "${path}" exists already; choose another name, or allow it to be overwritten.`, {
    details: { path },
  })
}

function failed(path: string, cause: unknown): LockstepError {
  return new LockstepError(
    'WRITE_FAILED',
    `The file "${path}" could not be written: ${messageOf(cause)}. Nothing was left behind; make room or choose another place.`,
    {
      cause,
      details: { path },
    },
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
