import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { placeFiles, writeFailed } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { absoluteName, isStoredObject } from '../../runtime/storage/object-store.ts'
import { maxTimeoutMs } from '../../serving/traffic/request-deadline.ts'
import type { Server } from './server.ts'
import { isTemporaryStatus } from './server-errors.ts'

/** The path of a file or folder for what a server answers. @throws LockstepError `USAGE` for a URL of object storage */
export function localPath(out: string): string {
  if (!isStoredObject(out)) return absoluteName(out)
  throw new LockstepError('USAGE', `A server's answer is written to a file here; "${out}" is none. Give the path of a file.`)
}

export interface Download {
  /** The path on the server. */
  readonly from: string
  readonly to: string
  readonly bytes: number
  readonly sha256: string
}

/**
 * Downloads a file. After a broken connection it resumes after the last byte that arrived. The file gets its name when
 * it is complete.
 *
 * @param onBytes called with the number of bytes of each part that arrives
 * @throws LockstepError `SERVER_UNAVAILABLE` after attempts for about two minutes without a byte, `WRITE_FAILED`, and
 *   what the server refuses
 */
export async function downloadFile(server: Server, download: Download, onBytes: (bytes: number) => void): Promise<void> {
  const { from, to, bytes, sha256 } = download
  const partial = `${to}.partial`
  const file = await open(partial, 'w').catch((cause: unknown) => {
    throw writeFailed(to, cause)
  })
  try {
    const hash = createHash('sha256')
    let offset = 0
    const keep = async (chunk: Uint8Array): Promise<void> => {
      await file.write(chunk, 0, chunk.byteLength, offset).catch((cause: unknown) => {
        throw writeFailed(to, cause)
      })
      hash.update(chunk)
      offset += chunk.byteLength
      onBytes(chunk.byteLength)
    }
    for (let attempt = 0; offset < bytes; attempt++) {
      const before = offset
      const error = await receive(server, download, before, keep)
      if (offset > before) attempt = 0
      if (offset < bytes) await server.waitAfter(attempt, error)
    }
    if (hash.digest('hex') !== sha256) throw changed(from)
    await file.close()
    await rename(partial, to)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
}

/**
 * Receives a file from `offset` on, until the connection ends.
 *
 * @returns why it ended, if another attempt may get further
 */
async function receive(
  server: Server,
  { from, bytes, sha256 }: Download,
  offset: number,
  keep: (chunk: Uint8Array) => Promise<void>,
): Promise<LockstepError> {
  try {
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-`, 'if-range': `"${sha256}"` }
    const response = await server.send('GET', from, { headers })
    if (response.status !== (offset === 0 ? 200 : 206) || response.body === null) {
      if (response.ok) throw changed(from)
      const error = await server.refusal(response)
      if (isTemporaryStatus(response.status)) return error
      throw error
    }
    let received = offset
    for await (const chunk of server.bytes(response)) {
      await keep(chunk)
      received += chunk.byteLength
    }
    const message = `The server "${server.url}" ended the download after ${received} of ${bytes} bytes.`
    return new LockstepError('SERVER_UNAVAILABLE', message)
  } catch (cause) {
    if (cause instanceof LockstepError && cause.code === 'SERVER_UNAVAILABLE') return cause
    if (cause instanceof LockstepError) throw cause
    return new LockstepError('SERVER_UNAVAILABLE', `The download from "${server.url}" broke off: ${messageOf(cause)}.`, { cause })
  }
}

/**
 * Downloads a file that the server makes for this request, so a broken download cannot resume. Its bytes are compared
 * with the SHA-256 that the server names.
 *
 * @throws LockstepError `SERVER_UNAVAILABLE`, `WRITE_FAILED`, `FILE_EXISTS` unless `overwrite`, and the server's errors
 */
export async function downloadMade(
  server: Server,
  { from, to, overwrite }: { readonly from: string; readonly to: string; readonly overwrite: boolean },
  onBytes: (bytes: number) => void,
): Promise<{ readonly bytes: number; readonly sha256: string; readonly headers: Headers }> {
  if (!overwrite) await refuseExisting([to])
  const response = await server.send('GET', from, { headers: { 'x-request-timeout-ms': String(maxTimeoutMs) } })
  if (!response.ok || response.body === null) throw await server.refusal(response)
  const partial = `${to}.partial`
  const hash = createHash('sha256')
  let bytes = 0
  try {
    const file = await open(partial, 'w').catch((cause: unknown) => {
      throw writeFailed(to, cause)
    })
    try {
      for await (const chunk of server.bytes(response)) {
        await file.write(chunk).catch((cause: unknown) => {
          throw writeFailed(to, cause)
        })
        hash.update(chunk)
        onBytes((bytes += chunk.byteLength))
      }
    } finally {
      await file.close()
    }
    const sha256 = hash.digest('hex')
    if (response.headers.get('etag') !== `"${sha256}"`) throw brokeOff(server, 'some bytes are missing or wrong')
    await placeFiles([{ partial, path: to }], overwrite)
    return { bytes, sha256, headers: response.headers }
  } catch (error) {
    await rm(partial, { force: true })
    throw error instanceof LockstepError ? error : brokeOff(server, messageOf(error), error)
  }
}

function brokeOff({ url }: Server, reason: string, cause?: unknown): LockstepError {
  return new LockstepError('SERVER_UNAVAILABLE', `The download from "${url}" broke off: ${reason}. Run the command again.`, { cause })
}

function changed(from: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${from}" of the server changed while it was downloaded; run the command again.`)
}
