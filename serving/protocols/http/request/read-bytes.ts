import { requireTime } from '../../../traffic/request-deadline.ts'
import type { Call } from '../call.ts'
import { decompressed } from './decompress.ts'
import { tooLarge } from './incoming-request.ts'

/**
 * The body of a request, decompressed, in the chunks that it arrived in.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `REQUEST_ABORTED`, `DEADLINE_EXCEEDED`, and as `decompressed`
 */
export async function readChunks({ incoming, deadline }: Call, limitBytes: number): Promise<readonly Buffer[]> {
  const { 'content-length': declared, 'content-encoding': encoding } = incoming.headers
  if (declared !== undefined && Number(declared) > limitBytes) throw tooLarge(limitBytes)
  const chunks = await incoming.body(limitBytes)
  // a body may arrive slowly
  requireTime(deadline)
  if (encoding === undefined || /^\s*(identity\s*)?$/i.test(encoding)) return chunks
  return [await decompressed(Buffer.concat(chunks), encoding, limitBytes, tooLarge)]
}

/**
 * A body as one, its bytes from `alignedFrom` on at a multiple of eight in memory, so that numbers there can be viewed
 * in place.
 */
export function joined(chunks: readonly Uint8Array[], alignedFrom: number): Uint8Array {
  const [only] = chunks
  if (only === undefined) return new Uint8Array()
  if (chunks.length === 1 && (only.byteOffset + alignedFrom) % 8 === 0) return only
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  const before = (8 - (alignedFrom % 8)) % 8
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(before + size).buffer, before, size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}
