import { createReadStream } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { createFileSink } from '../files/file-sink.ts'
import { makeFolder } from '../files/make-folder.ts'
import { placeFiles } from '../files/place-files.ts'
import type { SealedFile } from '../files/place-files.ts'
import type { ObjectStore, ObjectWriter, StoredObject, WriteOptions } from './object-store.ts'
import { fileChanged, fileMissing } from './object-store.ts'

/** Files of this machine. The ETag of a file is its size, its modification time and its inode. It has no metadata. */
export function createFolderStore(): ObjectStore {
  async function head(url: string): Promise<StoredObject | null> {
    const found = await stat(fileURLToPath(url), { bigint: true }).catch(() => null)
    if (found === null || !found.isFile()) return null
    return { url, bytes: Number(found.size), etag: `${found.size}-${found.mtimeNs}-${found.ino}`, metadata: {} }
  }

  async function expect(url: string, etag: string | undefined): Promise<void> {
    const found = await head(url)
    if (found === null) throw fileMissing(url)
    if (etag !== undefined && found.etag !== etag) throw fileChanged(url)
  }

  return {
    head,
    async read(url, { from, to }, etag) {
      await expect(url, etag)
      return await reading(url, async () => {
        const handle = await open(fileURLToPath(url), 'r')
        try {
          const { bytesRead, buffer } = await handle.read(Buffer.alloc(to - from), 0, to - from, from)
          return buffer.subarray(0, bytesRead)
        } finally {
          await handle.close()
        }
      })
    },
    async *stream(url, etag) {
      await expect(url, etag)
      try {
        for await (const chunk of createReadStream(fileURLToPath(url), { highWaterMark: 1 << 18 })) yield chunk as Buffer
      } catch (cause) {
        throw unreadable(url, cause)
      }
    },
    write: createWriter,
    async *list(prefix) {
      const path = fileURLToPath(prefix)
      const folder = prefix.endsWith('/') ? path : dirname(path)
      for (const name of (await filesUnder(folder)).filter((file) => file.startsWith(path))) {
        const found = await head(pathToFileURL(name).href)
        if (found !== null) yield found
      }
    },
    remove: async (url) => {
      await reading(url, () => rm(fileURLToPath(url), { force: true }))
    },
    close: () => undefined,
  }
}

async function createWriter(url: string, { overwrite }: WriteOptions): Promise<ObjectWriter> {
  const path = fileURLToPath(url)
  // what cannot be made is reported with the file
  await makeFolder(dirname(path)).catch(() => undefined)
  const sink = await createFileSink(path)
  let sealed: SealedFile | null = null
  return {
    write: (bytes) => sink.write(bytes),
    async seal() {
      const file = await sink.seal()
      sealed = file
      return { bytes: file.bytes, sha256: file.sha256 }
    },
    async commit() {
      if (sealed === null) throw new LockstepError('WRITE_FAILED', `The file "${path}" is not complete; seal it first.`)
      try {
        await placeFiles([sealed], overwrite)
      } catch (error) {
        await sink.abort()
        throw error
      }
      const found = await createFolderStore().head(url)
      if (found === null) throw fileMissing(url)
      return found
    },
    abort: () => sink.abort(),
  }
}

/**
 * The paths of all files below a folder, in the order of their bytes, links to files among them. Hidden files and what
 * is in linked folders are left out. A folder that does not exist has none.
 */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw unreadable(folder, error)
  })
  const paths = entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
    .map(({ parentPath, name }) => `${parentPath}/${name}`)
  return paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

async function reading<T>(url: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    throw unreadable(url, cause)
  }
}

function unreadable(url: string, cause: unknown): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${url}" could not be read: ${messageOf(cause)}.`, { cause, details: { url } })
}
