import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { createSemaphore } from '../../runtime/async.ts'
import type { ByteRange } from '../../runtime/storage/object-store.ts'
import { fileMissing } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { RangeBuffer } from '../files/file-bytes.ts'
import { mergeRanges, openBuffer } from '../files/file-bytes.ts'
import { parquetRanges } from '../files/parquet-reader.ts'

/** An object of which this disk has a copy. */
export interface StagedObject {
  /** Where the copy is. */
  readonly local: string
  readonly bytes: number
  readonly etag: string
}

/** Parquet files of object storage, on this disk. */
export interface StagedObjects {
  /**
   * Copies an object.
   *
   * @param columns the columns that will be read; null: all
   * @throws LockstepError `FILE_UNREADABLE`; `FILE_CHANGED` if it changes meanwhile; `WRITE_FAILED` if the disk is
   *   full; and what the store throws
   */
  stage(url: string, columns: readonly string[] | null, signal: AbortSignal | undefined): Promise<StagedObject>
  /** Removes all copies. */
  close(): Promise<void>
}

const objectsAtOnce = 4
const pieceBytes = 8 * 2 ** 20

/**
 * Copies have the size of their objects, but only the bytes of their footer and of the wanted columns: file systems
 * keep no bytes of the holes between. So any engine can read them as files, and needs no access to the storage of its
 * own.
 */
export function createStagedObjects(): StagedObjects {
  let folder: Promise<string> | null = null
  let staged = 0
  const slots = createSemaphore({ permits: objectsAtOnce })

  async function copy(url: string, columns: readonly string[] | null, signal: AbortSignal | undefined): Promise<StagedObject> {
    signal?.throwIfAborted()
    const found = await (await openObjectStore(url)).head(url)
    if (found === null) throw fileMissing(url)
    const { bytes, etag } = found
    const file = await openBuffer(url, { bytes, etag })
    const ranges = mergeRanges(await parquetRanges(url, file, columns))
    folder ??= mkdtemp(join(tmpdir(), 'lockstep-objects-'))
    const local = join(await folder, `${staged++}.parquet`)
    const handle = await open(local, 'w')
    try {
      await writing(url, local, () => handle.truncate(bytes))
      for (const range of ranges) {
        for (let from = range.from; from < range.to; from += pieceBytes) {
          signal?.throwIfAborted()
          await copyPiece(url, file, { from, to: Math.min(range.to, from + pieceBytes) }, handle, local)
        }
      }
    } finally {
      await handle.close()
    }
    return { local, bytes, etag }
  }

  return {
    stage: (url, columns, signal) => slots(() => copy(url, columns, signal)),
    async close() {
      if (folder !== null) await rm(await folder, { recursive: true, force: true })
    },
  }
}

async function copyPiece(url: string, file: RangeBuffer, { from, to }: ByteRange, handle: FileHandle, local: string): Promise<void> {
  const bytes = Buffer.from(await file.slice(from, to))
  await writing(url, local, () => handle.write(bytes, 0, bytes.length, from))
}

async function writing(url: string, local: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    throw new LockstepError(
      'WRITE_FAILED',
      `The copy of "${url}" could not be written to "${local}": ${messageOf(cause)}. Free space there, or set TMPDIR to another folder.`,
      { cause, details: { url, path: local } },
    )
  }
}
