import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { hashFile } from '../../offline/files/hash-file.ts'
import type { Context } from '../context.ts'
import type { Server } from './server.ts'
import { isTemporaryStatus } from './server-errors.ts'

/** Bytes of one request. Each arrives within the minute that a server gives a request, also over a slow line. */
const partBytes = 4 * 2 ** 20
/** How long a command that failed tries to remove its upload. */
const removalMs = 2_000

/**
 * Sends a file to a server and does something with it there. A broken connection, or a restart of the server, only
 * interrupts the upload: it resumes after the last byte that the server has.
 *
 * @param use gets the id of the upload. If it fails, the upload is removed.
 * @throws LockstepError `FILE_UNREADABLE`, `SERVER_UNAVAILABLE` after attempts for about two minutes, and what the
 *   server refuses
 */
export async function uploadFile<T>(context: Context, server: Server, path: string, use: (upload: string) => Promise<T>): Promise<T> {
  const sha256 = await hashFile(path, context.signal)
  if (sha256 === null) throw unreadable(path, 'there is no such file')
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(path, messageOf(cause))
  })
  try {
    const { size } = await file.stat()
    const id = await announce(server, { name: basename(path), size, sha256 })
    try {
      await sendParts(context, server, id, { path, file, size })
      return await whileWaiting(context, server, () => use(id))
    } catch (error) {
      // also after the command was stopped
      const signal = AbortSignal.timeout(removalMs)
      await server.send('DELETE', `/v1/uploads/${id}`, { signal }).catch(() => undefined)
      throw error
    }
  } finally {
    await file.close()
  }
}

async function sendParts(
  { terminal }: Context,
  server: Server,
  id: string,
  { path, file, size }: { readonly path: string; readonly file: FileHandle; readonly size: number },
): Promise<void> {
  const progress = terminal.progress(`Uploading ${basename(path)}`, 'bytes')
  try {
    for (let offset = 0; offset < size; progress.update(offset, size)) {
      const part = Buffer.alloc(Math.min(partBytes, size - offset))
      const { bytesRead } = await file.read(part, 0, part.byteLength, offset)
      if (bytesRead < part.byteLength) throw unreadable(path, 'it became shorter meanwhile')
      offset = await sendPart(server, id, offset, new Uint8Array(part))
    }
  } finally {
    progress.end()
  }
}

/** The server continues when the command is stopped. */
async function whileWaiting<T>({ terminal, signal }: Context, server: Server, work: () => Promise<T>): Promise<T> {
  const progress = terminal.progress(`Waiting for ${server.url}`, '')
  try {
    return await work()
  } catch (error) {
    if (!signal.aborted) throw error
    const text = `${messageOf(signal.reason)} The server has the complete file and continues; its audit log shows what it did (GET ${server.url}/v1/audit).`
    throw new LockstepError('STOPPED', text, { cause: signal.reason })
  } finally {
    progress.end()
  }
}

/** @returns the id of the upload */
async function announce(server: Server, { name, size, sha256 }: { readonly name: string; readonly size: number; readonly sha256: string }) {
  const query = new URLSearchParams({ name, sha256 })
  const response = await attempts(server, () =>
    server.send('POST', `/v1/uploads?${query.toString()}`, { headers: { 'upload-length': String(size) } }),
  )
  const id = response.headers.get('location')?.split('/').at(-1)
  if (id === undefined) throw new LockstepError('USAGE', `"${server.url}" did not answer as a Lockstep server does; check the URL.`)
  return id
}

/**
 * Sends bytes from an offset on.
 *
 * @returns the offset after them; after a broken connection, that which the server has
 */
async function sendPart(server: Server, id: string, offset: number, body: Uint8Array<ArrayBuffer>): Promise<number> {
  const path = `/v1/uploads/${id}`
  for (let attempt = 0; ; attempt++) {
    let error: LockstepError
    try {
      const response = await server.send('PATCH', path, {
        headers: { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' },
        body,
      })
      const reached = offsetOf(response)
      if (response.ok && reached !== null) return reached
      error = await server.refusal(response)
      if (!isTemporaryStatus(response.status) && error.code !== 'UPLOAD_CONFLICT') throw error
    } catch (thrown) {
      if (!(thrown instanceof LockstepError) || thrown.code !== 'SERVER_UNAVAILABLE') throw thrown
      error = thrown
    }
    await server.waitAfter(attempt, error)
    const reached = offsetOf(await attempts(server, () => server.send('HEAD', path)))
    // some of the part has arrived
    if (reached !== null && reached !== offset) return reached
  }
}

async function attempts(server: Server, send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    let error: LockstepError
    try {
      const response = await send()
      if (response.ok) return response
      error = await server.refusal(response)
      if (!isTemporaryStatus(response.status)) throw error
    } catch (thrown) {
      if (!(thrown instanceof LockstepError) || thrown.code !== 'SERVER_UNAVAILABLE') throw thrown
      error = thrown
    }
    await server.waitAfter(attempt, error)
  }
}

function offsetOf({ headers }: Response): number | null {
  const text = headers.get('upload-offset')
  return text === null ? null : Number(text)
}

function unreadable(path: string, why: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${path}" cannot be read: ${why}. Give the path of a file.`, { details: { path } })
}
