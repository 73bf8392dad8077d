import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { hashFile } from '../../offline/files/hash-file.ts'

export interface NewUpload {
  /** Bytes. */
  readonly length: number
  /** The name of the file; its extension says its format. */
  readonly name: string
  /** Hex; null: not announced. */
  readonly sha256: string | null
}

export interface Upload extends NewUpload {
  readonly id: string
  /** The number of bytes that have arrived. */
  readonly offset: number
  readonly path: string
}

/**
 * The uploads on the disk. An upload is a folder:
 *
 *     ID/upload.json     the announced length, name and hash
 *     ID/file/NAME       the bytes so far; their number is the offset
 *
 * So after a kill the offset is what the disk holds, and the client resumes there.
 */
export interface StoredUploads {
  /** @throws LockstepError `WRITE_FAILED` */
  add(file: NewUpload): Promise<Upload>
  /** @throws LockstepError `NOT_FOUND` */
  read(id: string): Promise<{ readonly upload: Upload; readonly verified: boolean }>
  /**
   * Checks the hash of a complete file. One with another hash is removed.
   *
   * @throws LockstepError `UPLOAD_DAMAGED`
   */
  verify(upload: Upload): Promise<void>
  ids(): Promise<readonly string[]>
  /** When its last byte arrived, epoch milliseconds; null: it is gone. */
  changedMs(id: string): Promise<number | null>
  remove(id: string): Promise<void>
}

const storedUpload = z.object({ length: z.number(), name: z.string(), sha256: z.string().nullable(), verified: z.boolean() })

export function storedUploads(folder: string): StoredUploads {
  const noteOf = (id: string): string => join(folder, id, 'upload.json')

  async function read(id: string): Promise<{ readonly upload: Upload; readonly verified: boolean }> {
    if (!/^[0-9a-f-]{36}$/.test(id)) throw notFound(id)
    const text = await readFile(noteOf(id), 'utf8').catch(() => null)
    if (text === null) throw notFound(id)
    const { verified, ...file } = storedUpload.parse(JSON.parse(text))
    const path = join(folder, id, 'file', file.name)
    const found = await stat(path).catch(() => null)
    if (found === null) throw notFound(id)
    return { upload: { id, ...file, offset: found.size, path }, verified }
  }

  async function note(id: string, file: NewUpload, verified: boolean): Promise<void> {
    const { length, name, sha256 } = file
    const path = noteOf(id)
    await writeFile(`${path}.new`, JSON.stringify({ length, name, sha256, verified }), { flush: true })
    await rename(`${path}.new`, path)
  }

  const remove = (id: string): Promise<void> => rm(join(folder, id), { recursive: true, force: true })

  return {
    read,
    remove,
    async add(file) {
      const id = randomUUID()
      const path = join(folder, id, 'file', file.name)
      try {
        await mkdir(join(folder, id, 'file'), { recursive: true, mode: 0o700 })
        await writeFile(path, '', { mode: 0o600 })
        await note(id, file, false)
      } catch (cause) {
        await remove(id).catch(() => undefined)
        throw writeFailed(path, cause)
      }
      return { ...file, id, offset: 0, path }
    },
    async verify(upload) {
      const found = await hashFile(upload.path, undefined)
      if (upload.sha256 !== null && found !== upload.sha256) {
        await remove(upload.id)
        throw new LockstepError(
          'UPLOAD_DAMAGED',
          `The file "${upload.name}" arrived with the SHA-256 ${found}, not ${upload.sha256} as announced; it was removed. Send it again.`,
          { details: { sha256: found, announced: upload.sha256 } },
        )
      }
      await note(upload.id, upload, true)
    },
    ids: () => readdir(folder).catch(() => []),
    async changedMs(id) {
      const path = (await read(id).catch(() => null))?.upload.path ?? join(folder, id)
      return (await stat(path).catch(() => null))?.mtimeMs ?? null
    },
  }
}

/**
 * Appends to the file of an upload.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `WRITE_FAILED`, and what reading the bytes throws
 */
export async function appendBytes(upload: Upload, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(upload.path, 'r+').catch((cause: unknown) => {
    throw writeFailed(upload.path, cause)
  })
  try {
    let at = upload.offset
    for await (const chunk of bytes) {
      const fitting = chunk.subarray(0, upload.length - at)
      for (let done = 0; done < fitting.byteLength;) {
        const { bytesWritten } = await file.write(fitting, done, fitting.byteLength - done, at + done).catch((cause: unknown) => {
          throw writeFailed(upload.path, cause)
        })
        done += bytesWritten
      }
      at += fitting.byteLength
      if (fitting.byteLength < chunk.byteLength) throw tooLong(upload)
    }
  } finally {
    await file.close()
  }
}

function writeFailed(path: string, cause: unknown): LockstepError {
  return new LockstepError(
    'WRITE_FAILED',
    `The server could not write the upload "${path}": ${messageOf(cause)}. Free some space there, or set LOCKSTEP_FILES_DIR to another folder.`,
    { cause, details: { path } },
  )
}

function tooLong({ id, length }: Upload): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `More bytes were sent than the ${length} of the upload "${id}"; announce the length of the complete file.`,
    { details: { upload: id, limitBytes: length } },
  )
}

function notFound(id: string): LockstepError {
  return new LockstepError(
    'NOT_FOUND',
    `There is no upload "${id}" on this server. It was used or removed, or another server has it: servers share uploads only if they share LOCKSTEP_FILES_DIR.`,
    { details: { upload: id } },
  )
}
