import type { IncomingMessage } from 'node:http'
import { LockstepError } from '../../kernel/errors.ts'
import { inflated } from './inflate.ts'

/**
 * A request's body, unpacked, in the chunks that it came in.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `REQUEST_ABORTED`, and what `inflated` throws
 */
export function readChunks(incoming: IncomingMessage, limitBytes: number): Promise<readonly Buffer[]> {
  const { 'content-length': declared, 'content-encoding': encoding } = incoming.headers
  if (declared !== undefined && Number(declared) > limitBytes) return Promise.reject(tooLarge(limitBytes))
  const chunks = new Promise<Buffer[]>((resolve, reject) => {
    const read: Buffer[] = []
    let size = 0
    // it closes after a whole body, too
    const aborted = (cause?: unknown): void => {
      if (incoming.readableEnded) return
      reject(new LockstepError('REQUEST_ABORTED', 'The connection ended before the whole body was there.', { cause }))
    }
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size > limitBytes) reject(tooLarge(limitBytes))
      else read.push(chunk)
    })
    incoming.on('end', () => resolve(read))
    incoming.on('error', aborted)
    incoming.on('close', aborted)
    if (incoming.destroyed) aborted()
  })
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

function tooLarge(limitBytes: number): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `The body is over the limit of ${limitBytes} bytes; send less in one request, or raise LOCKSTEP_BODY_LIMIT_BYTES.`,
    { details: { limitBytes } },
  )
}
