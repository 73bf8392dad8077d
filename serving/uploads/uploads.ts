import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { hashFile } from '../../offline/files/hash-file.ts'

/**
 * Files that clients send in parts, on the disk of the server. An upload is a folder:
 *
 *     ID/upload.json     the announced length, name and hash
 *     ID/file/NAME       the bytes so far; their number is the offset
 *
 * So after a kill the offset is what the disk holds, and the client resumes there.
 */
export interface Uploads {
  /**
   * Announces a file.
   *
   * @throws LockstepError `BODY_TOO_LARGE` over the limit, `UPLOADS_FULL` where other uploads leave no room,
   *   `WRITE_FAILED`
   */
  create(file: NewUpload): Promise<Upload>
  /** @throws LockstepError `NOT_FOUND` */
  find(id: string): Promise<Upload>
  /**
   * Appends bytes to an upload, from the offset on. Bytes that arrived before an error are kept. A client that sends
   * again takes the place of its earlier request, which may not know yet that its connection broke. The last byte
   * completes the upload, and then its hash is checked.
   *
   * @throws LockstepError `UPLOAD_CONFLICT` for another offset, or where another request took the place of this one;
   *   `BODY_TOO_LARGE` for more bytes than announced, `UPLOAD_DAMAGED`, `NOT_FOUND`, `WRITE_FAILED`, and what reading
   *   the bytes throws
   */
  append(id: string, offset: number, bytes: (signal: AbortSignal) => AsyncIterable<Uint8Array>): Promise<Upload>
  /**
   * Does something with a complete file, and removes the upload if that succeeds.
   *
   * @throws LockstepError `NOT_FOUND`, `INVALID_REQUEST` where it is incomplete, `UPLOAD_DAMAGED`, `UPLOAD_CONFLICT`
   *   where another request uses it, and what the work throws
   */
  use<T>(id: string, work: (upload: Upload) => Promise<T>): Promise<T>
  /** @throws LockstepError `NOT_FOUND`, `UPLOAD_CONFLICT` while a request uses it */
  remove(id: string): Promise<void>
  /** Removes uploads of which nothing arrived for a day. Returns their number. */
  removeOld(nowMs: number): Promise<number>
}

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

export interface UploadOptions {
  /** The folder of all uploads, which is made when it is needed. */
  readonly folder: string
  /** The maximum size of all uploads together, in bytes. */
  readonly limitBytes: number
}

/** How long an upload is kept after its last byte. */
const keptMs = 24 * 3_600_000

const storedUpload = z.object({ length: z.number(), name: z.string(), sha256: z.string().nullable(), verified: z.boolean() })

export function createUploads({ folder, limitBytes }: UploadOptions): Uploads {
  const takeTurn = createWriters()
  const used = new Set<string>()
  /** Creations take turns, so that together they stay within the limit. */
  let creating: Promise<unknown> = Promise.resolve()

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

  async function announcedBytes(): Promise<number> {
    let sum = 0
    for (const id of await readdir(folder).catch(() => [])) sum += (await read(id).catch(() => null))?.upload.length ?? 0
    return sum
  }

  async function create(file: NewUpload): Promise<Upload> {
    if (file.length > limitBytes) {
      throw new LockstepError(
        'BODY_TOO_LARGE',
        `The file "${file.name}" has ${file.length} bytes, and the server takes at most ${limitBytes}; send less, or raise LOCKSTEP_UPLOAD_MB there.`,
        { details: { limitBytes } },
      )
    }
    const taken = await announcedBytes()
    if (taken + file.length > limitBytes) {
      throw new LockstepError(
        'UPLOADS_FULL',
        `Other uploads take ${taken} of the ${limitBytes} bytes that the server has for uploads, so "${file.name}" with ${file.length} does not fit. Try again when they are done, delete an upload (DELETE /v1/uploads/ID), or raise LOCKSTEP_UPLOAD_MB there.`,
        { details: { limitBytes, takenBytes: taken } },
      )
    }
    const id = randomUUID()
    const path = join(folder, id, 'file', file.name)
    try {
      await mkdir(join(folder, id, 'file'), { recursive: true, mode: 0o700 })
      await writeFile(path, '', { mode: 0o600 })
      await note(id, file, false)
    } catch (cause) {
      await rm(join(folder, id), { recursive: true, force: true }).catch(() => undefined)
      throw writeFailed(path, cause)
    }
    return { ...file, id, offset: 0, path }
  }

  /** Checks the hash of a complete file. One with another hash is removed. */
  async function verify(upload: Upload): Promise<void> {
    const found = await hashFile(upload.path, undefined)
    if (upload.sha256 !== null && found !== upload.sha256) {
      await rm(join(folder, upload.id), { recursive: true, force: true })
      throw new LockstepError(
        'UPLOAD_DAMAGED',
        `The file "${upload.name}" arrived with the SHA-256 ${found}, not ${upload.sha256} as announced; it was removed. Send it again.`,
        { details: { sha256: found, announced: upload.sha256 } },
      )
    }
    await note(upload.id, upload, true)
  }

  return {
    async create(file) {
      const created = creating.then(() => create(file))
      creating = created.catch(() => undefined)
      return await created
    },
    find: async (id) => (await read(id)).upload,
    async append(id, offset, bytes) {
      const { upload: before } = await read(id)
      const writer = await takeTurn(id)
      try {
        const { upload } = await read(id)
        if (used.has(id)) throw inUse(id)
        if (upload.offset !== offset) throw wrongOffset(upload, offset)
        await write(upload, bytes(writer.signal))
        const after = (await read(id)).upload
        if (after.offset === after.length) await verify(after)
        return after
      } catch (error) {
        if (writer.signal.aborted) throw wrongOffset(before, offset)
        throw error
      } finally {
        writer.leave()
      }
    },
    async use(id, work) {
      const { upload, verified } = await read(id)
      if (upload.offset < upload.length) {
        throw new LockstepError(
          'INVALID_REQUEST',
          `The upload "${id}" is not complete: ${upload.offset} of ${upload.length} bytes have arrived. Send the rest first (PATCH /v1/uploads/${id}).`,
          { details: { upload: id, offset: upload.offset, length: upload.length } },
        )
      }
      if (used.has(id)) throw inUse(id)
      used.add(id)
      try {
        if (!verified) await verify(upload)
        const result = await work(upload)
        await rm(join(folder, id), { recursive: true, force: true })
        return result
      } finally {
        used.delete(id)
      }
    },
    async remove(id) {
      await read(id)
      if (used.has(id)) throw inUse(id)
      const writer = await takeTurn(id)
      await rm(join(folder, id), { recursive: true, force: true }).finally(() => writer.leave())
    },
    async removeOld(nowMs) {
      let removed = 0
      for (const id of await readdir(folder).catch(() => [])) {
        const path = join(folder, id)
        const newest = (await read(id).catch(() => null))?.upload.path ?? path
        const changed = await stat(newest).catch(() => null)
        if (changed === null || nowMs - changed.mtimeMs < keptMs || used.has(id)) continue
        await rm(path, { recursive: true, force: true })
        removed++
      }
      return removed
    },
  }
}

async function write(upload: Upload, bytes: AsyncIterable<Uint8Array>): Promise<void> {
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

interface Writer {
  /** Aborted when another writer wants the turn. */
  readonly signal: AbortSignal
  leave(): void
}

/** One writer at a time for each upload: the newest, as an earlier one may wait for a client that is gone. */
function createWriters(): (id: string) => Promise<Writer> {
  const current = new Map<string, { readonly stop: AbortController; readonly left: Promise<void> }>()
  return async (id) => {
    for (let former = current.get(id); former !== undefined; former = current.get(id)) {
      former.stop.abort()
      await former.left
    }
    const [stop, { promise: left, resolve }] = [new AbortController(), Promise.withResolvers<void>()]
    current.set(id, { stop, left })
    return {
      signal: stop.signal,
      leave() {
        current.delete(id)
        resolve()
      },
    }
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

function inUse(id: string): LockstepError {
  return new LockstepError('UPLOAD_CONFLICT', `Another request uses the upload "${id}" now; wait for its answer.`, {
    details: { upload: id },
  })
}

function wrongOffset({ id, offset }: Upload, sent: number): LockstepError {
  return new LockstepError('UPLOAD_CONFLICT', `The upload "${id}" is at the offset ${offset}, not ${sent}; go on from there.`, {
    details: { upload: id, offset },
  })
}
