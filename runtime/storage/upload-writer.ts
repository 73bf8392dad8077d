import { createHash, randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import { gatherParts } from './gather-parts.ts'
import type { ObjectStore, ObjectWriter, WriteOptions } from './object-store.ts'
import { fileExists, fileMissing } from './object-store.ts'

/** One object on its way to a store, in parts. */
export interface Upload {
  /** Sends a part. The first call begins the upload, and no other call runs beside it. */
  send(part: Uint8Array, number: number): Promise<void>
  /**
   * Makes the object.
   *
   * @param rest all bytes of an object that is smaller than a part; else empty
   * @param sealed of all bytes
   * @throws LockstepError `FILE_CHANGED` if the name must be free and is taken
   */
  complete(rest: Uint8Array, sealed: Sealed): Promise<void>
  /** Removes what was sent, if the upload has begun. Never rejects. */
  cancel(): Promise<void>
}

interface Sealed {
  readonly bytes: number
  readonly sha256: string
}

/** The user metadata that names the writer. By it, a writer recognizes its own object after an answer was lost. */
const writerKey = 'lockstep-writer'

/**
 * The writer of an object that is uploaded in parts.
 *
 * @param atOnce how many parts may be on their way
 * @param begin makes the upload of an object with this metadata, and sends nothing yet
 */
export function createUploadWriter(
  head: ObjectStore['head'],
  url: string,
  { metadata = {} }: Pick<WriteOptions, 'metadata'>,
  atOnce: number,
  begin: (metadata: Readonly<Record<string, string>>) => Upload,
): ObjectWriter {
  const writer = randomUUID()
  const upload = begin({ ...metadata, [writerKey]: writer })
  const gathered = gatherParts((part, number) => upload.send(part, number), atOnce)
  const hash = createHash('sha256')
  let bytes = 0
  let sha256 = ''
  let rest: Uint8Array = new Uint8Array(0)
  let isComplete = false

  async function abort(): Promise<void> {
    await gathered.settled()
    if (!isComplete) await upload.cancel()
  }

  async function orAbort<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      await abort()
      throw error instanceof LockstepError && error.code === 'FILE_CHANGED' ? fileExists(url) : error
    }
  }

  return {
    write: (chunk) =>
      orAbort(async () => {
        hash.update(chunk)
        bytes += chunk.length
        await gathered.write(chunk)
      }),
    seal: () =>
      orAbort(async () => {
        sha256 = hash.digest('hex')
        rest = await gathered.end()
        return { bytes, sha256 }
      }),
    commit: () =>
      orAbort(async () => {
        try {
          await upload.complete(rest, { bytes, sha256 })
        } catch (error) {
          // the answer to an earlier attempt of this request may have been lost
          const there = await head(url).catch(() => null)
          if (there?.metadata[writerKey] !== writer) throw error
          isComplete = true
          return there
        }
        isComplete = true
        const written = await head(url)
        if (written === null) throw fileMissing(url)
        return written
      }),
    abort,
  }
}
