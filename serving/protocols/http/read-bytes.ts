import type { IncomingRequest } from './incoming-request.ts'
import { tooLarge } from './incoming-request.ts'
import { inflated } from './decompress.ts'

/**
 * A request's body, unpacked, in the chunks that it came in.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `REQUEST_ABORTED`, and what `inflated` throws
 */
export function readChunks(incoming: IncomingRequest, limitBytes: number): Promise<readonly Buffer[]> {
  const { 'content-length': declared, 'content-encoding': encoding } = incoming.headers
  if (declared !== undefined && Number(declared) > limitBytes) return Promise.reject(tooLarge(limitBytes))
  const chunks = incoming.body(limitBytes)
  if (encoding === undefined || /^\s*(identity\s*)?$/i.test(encoding)) return chunks
  return chunks.then(async (packed) => [await inflated(Buffer.concat(packed), encoding, limitBytes, tooLarge)])
}

/** A body as one, its bytes from `alignedFrom` on at a multiple of eight in memory, so that numbers there can be viewed in place. */
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
