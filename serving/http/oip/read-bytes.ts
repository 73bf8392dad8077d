import type { IncomingMessage } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'
import { tooLarge } from '../body.ts'
import { inflated } from '../inflate.ts'

/**
 * A request's body, unpacked, its bytes from `alignedFrom` on at a multiple of eight in memory, so that numbers there can be viewed in place.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `REQUEST_ABORTED`, and what `inflated` throws
 */
export async function readBytes(incoming: IncomingMessage, limitBytes: number, alignedFrom: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  if (Number(incoming.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
  await new Promise<void>((resolve, reject) => {
    // it closes after a whole body, too
    const aborted = (cause?: unknown): void => {
      if (incoming.readableEnded) return
      reject(new LockstepError('REQUEST_ABORTED', 'The connection ended before the whole body was there.', { cause }))
    }
    incoming.on('data', (chunk: Uint8Array) => {
      size += chunk.byteLength
      if (size > limitBytes) reject(tooLarge(limitBytes))
      else chunks.push(chunk)
    })
    incoming.once('end', resolve)
    incoming.once('error', aborted)
    incoming.once('close', aborted)
  })
  const encoding = incoming.headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return joined(chunks, alignedFrom)
  return joined([await inflated(Buffer.concat(chunks), encoding, limitBytes, tooLarge)], alignedFrom)
}

function joined(chunks: readonly Uint8Array[], alignedFrom: number): Uint8Array {
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
