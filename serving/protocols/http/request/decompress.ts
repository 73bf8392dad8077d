import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { cutText } from '../../../../kernel/values/cut-text.ts'
import { LockstepError, messageOf } from '../../../../kernel/errors.ts'

const ways = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
} as const

/** The values of `content-encoding` that a request may have. */
const acceptedEncodings = 'gzip, deflate, br, zstd'

/**
 * Decompresses a body, up to the limit and no further.
 *
 * @param encoding the header `content-encoding`
 * @throws LockstepError `UNSUPPORTED_MEDIA_TYPE`, `INVALID_REQUEST` where the body is not in that encoding, or the
 *   error of `tooLarge`
 */
export async function decompressed(
  bytes: Uint8Array,
  encoding: string,
  limitBytes: number,
  tooLarge: (limitBytes: number) => LockstepError,
): Promise<Buffer> {
  const way = Object.entries(ways).find(([name]) => name === encoding.trim().toLowerCase())?.[1]
  if (way === undefined) {
    throw new LockstepError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The content encoding "${cutText(encoding, 100)}" is not supported; send the body uncompressed, or in one of ${acceptedEncodings}.`,
      { details: { encoding: cutText(encoding, 100) } },
    )
  }
  try {
    return await way(bytes, { maxOutputLength: limitBytes })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limitBytes)
    throw new LockstepError('INVALID_REQUEST', `The body is not ${encoding.trim()}, although its header says so: ${messageOf(cause)}.`, {
      cause,
    })
  }
}
