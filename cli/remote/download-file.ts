import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { writeFailed } from '../../runtime/files/place-files.ts'
import type { Server } from './server.ts'
import { isTemporary } from './server.ts'

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
          for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
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

function changed(from: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${from}" of the server changed while it was downloaded; run the command again.`)
}
