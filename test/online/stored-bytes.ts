import { ByteWriter } from '../../kernel/values/binary.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import { beginStored, stateHead, readHeader, sealed } from '../../kernel/states/stored-state.ts'

/** Bytes as a store sees them: a header with this frontier, and any body. */
export function stored(frontier: number | Frontier, body: string): Buffer {
  const writer = new ByteWriter()
  const headEnd = beginStored(writer, typeof frontier === 'number' ? allBelow(frontier) : frontier)
  writer.float64(Number.NEGATIVE_INFINITY)
  writer.raw(Buffer.from(body, 'latin1'))
  return sealed(writer, headEnd)
}

/** The head of bytes with this frontier, which a writer expects. */
export function expecting(frontier: number | Frontier): Buffer {
  const bytes = stored(frontier, '')
  return stateHead(bytes, readHeader(bytes, 'test'))
}

export function storedCount(bytes: Buffer): number {
  return readHeader(bytes, 'test').frontier.below
}

export function storedBody(bytes: Buffer): string {
  return bytes.toString('latin1', readHeader(bytes, 'test').bodyAt)
}
