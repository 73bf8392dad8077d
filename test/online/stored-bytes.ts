import { readHeader, storedFormat, storedHeaderBytes } from '../../kernel/stored-state.ts'

/** Bytes as a store sees them: a header with this frontier, and any body. */
export function stored(frontier: number, body: string): Buffer {
  const bytes = Buffer.alloc(storedHeaderBytes + body.length)
  bytes[0] = storedFormat
  bytes.writeDoubleLE(frontier, 1)
  bytes.writeDoubleLE(Number.NEGATIVE_INFINITY, 9)
  bytes.write(body, storedHeaderBytes, 'latin1')
  return bytes
}

export function storedCount(bytes: Buffer): number {
  return readHeader(bytes, 'test').frontier
}
