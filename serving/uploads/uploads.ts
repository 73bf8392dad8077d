import { LockstepError } from '../../kernel/errors.ts'
import type { NewUpload, Upload } from './stored-uploads.ts'
import { appendBytes, storedUploads } from './stored-uploads.ts'

/** Files that clients send in parts, on the disk of the server. */
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

export interface UploadOptions {
  /** The folder of all uploads, which is made when it is needed. */
  readonly folder: string
  /** The maximum size of all uploads together, in bytes. */
  readonly limitBytes: number
}

/** How long an upload is kept after its last byte. */
const keptMs = 24 * 3_600_000

export function createUploads({ folder, limitBytes }: UploadOptions): Uploads {
  const stored = storedUploads(folder)
  const takeTurn = createWriters()
  const used = new Set<string>()
  /** Creations take turns, so that together they stay within the limit. */
  let creating: Promise<unknown> = Promise.resolve()

  async function announcedBytes(): Promise<number> {
    let sum = 0
    for (const id of await stored.ids()) sum += (await stored.read(id).catch(() => null))?.upload.length ?? 0
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
    return await stored.add(file)
  }

  return {
    async create(file) {
      const created = creating.then(() => create(file))
      creating = created.catch(() => undefined)
      return await created
    },
    find: async (id) => (await stored.read(id)).upload,
    async append(id, offset, bytes) {
      const { upload: before } = await stored.read(id)
      const writer = await takeTurn(id)
      try {
        const { upload } = await stored.read(id)
        if (used.has(id)) throw inUse(id)
        if (upload.offset !== offset) throw wrongOffset(upload, offset)
        await appendBytes(upload, bytes(writer.signal))
        const after = (await stored.read(id)).upload
        if (after.offset === after.length) await stored.verify(after)
        return after
      } catch (error) {
        if (writer.signal.aborted) throw wrongOffset(before, offset)
        throw error
      } finally {
        writer.leave()
      }
    },
    async use(id, work) {
      const { upload, verified } = await stored.read(id)
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
        if (!verified) await stored.verify(upload)
        const result = await work(upload)
        await stored.remove(id)
        return result
      } finally {
        used.delete(id)
      }
    },
    async remove(id) {
      await stored.read(id)
      if (used.has(id)) throw inUse(id)
      const writer = await takeTurn(id)
      await stored.remove(id).finally(() => writer.leave())
    },
    async removeOld(nowMs) {
      let removed = 0
      for (const id of await stored.ids()) {
        const changedMs = await stored.changedMs(id)
        if (changedMs === null || nowMs - changedMs < keptMs || used.has(id)) continue
        await stored.remove(id)
        removed++
      }
      return removed
    },
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
