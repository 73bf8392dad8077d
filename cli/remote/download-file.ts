import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { placeFiles, writeFailed } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { absoluteName, isStoredObject } from '../../runtime/storage/object-store.ts'
import { maxTimeoutMs } from '../../serving/traffic/request-deadline.ts'
import type { Server } from './server.ts'
import { isTemporary } from './server.ts'

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
 * Downloads a file. After a broken connection it goes on from the last byte that arrived. The file gets its name when
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
    for (let attempt = 0; offset < bytes; attempt++) {
      let error: LockstepError
      try {
        const headers = offset === 0 ? {} : { range: `bytes=${offset}-`, 'if-range': `"${sha256}"` }
        const response = await server.send('GET', from, { headers })
        if (response.status === (offset === 0 ? 200 : 206) && response.body !== null) {
          for await (const chunk of server.bytes(response)) {
            await file.write(chunk, 0, chunk.byteLength, offset).catch((cause: unknown) => {
              throw writeFailed(to, cause)
            })
            hash.update(chunk)
            offset += chunk.byteLength
            attempt = 0
            onBytes(chunk.byteLength)
          }
          if (offset === bytes) break
          error = new LockstepError(
            'SERVER_UNAVAILABLE',
            `The server "${server.url}" ended the download after ${offset} of ${bytes} bytes.`,
          )
        } else if (response.ok) throw changed(from)
        else {
          error = await server.refusal(response)
          if (!isTemporary(response.status)) throw error
        }
      } catch (thrown) {
        if (thrown instanceof LockstepError && thrown.code !== 'SERVER_UNAVAILABLE') throw thrown
        if (thrown instanceof LockstepError) error = thrown
        else
          error = new LockstepError('SERVER_UNAVAILABLE', `The download from "${server.url}" broke off: ${messageOf(thrown)}.`, {
            cause: thrown,
          })
      }
      await server.waitAfter(attempt, error)
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
 * Downloads a file that the server makes for this request, so a broken download cannot go on. Its bytes are compared
 * with the SHA-256 that the server names.
 *
 * @throws LockstepError `SERVER_UNAVAILABLE`, `WRITE_FAILED`, `FILE_EXISTS` unless `overwrite`, and the server's errors
 */
export async function downloadMade(
  server: Server,
  { from, to, overwrite }: { readonly from: string; readonly to: string; readonly overwrite: boolean },
  onBytes: (bytes: number) => void,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
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
    return { bytes, sha256 }
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
