const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const fixedHeaderBytes = signature.length + 8

/** The header of a binary COPY without header extension or flags. It precedes the tuples. */
export const copyHeader = Buffer.concat([signature, Buffer.alloc(8)])
/** The trailer of a binary COPY: a tuple of -1 fields. */
export const copyTrailer = Buffer.from([0xff, 0xff])

/**
 * Collects the bytes of one COPY into pieces, each of which can be a COPY of its own. Pieces of the binary format are
 * cut between tuples, and have no header or trailer. Other formats cannot be cut cheaply, so they form one piece.
 */
export async function* copyPieces(
  chunks: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<{ binary: boolean; bytes: Buffer }, void, undefined> {
  let parts: Uint8Array[] = []
  let held = 0
  let binary: boolean | null = null
  for await (const chunk of chunks) {
    parts.push(chunk)
    held += chunk.length
    if (binary === false || held < pieceBytes) continue
    let bytes = Buffer.concat(parts, held)
    if (binary === null) {
      binary = isBinary(bytes)
      if (binary) bytes = bytes.subarray(headerLength(bytes))
      parts = [bytes]
      held = bytes.length
      if (!binary) continue
    }
    const end = lastTupleEnd(bytes)
    if (end > 0) yield { binary: true, bytes: bytes.subarray(0, end) }
    parts = [bytes.subarray(end)]
    held = bytes.length - end
    // the remaining bytes are one tuple that is longer than a piece
    if (end === 0) pieceBytes = Math.max(pieceBytes, held * 2)
  }
  let bytes = Buffer.concat(parts, held)
  if (binary === null) {
    binary = isBinary(bytes)
    if (binary) bytes = bytes.subarray(headerLength(bytes))
  }
  if (binary) {
    const end = lastTupleEnd(bytes)
    if (bytes.subarray(end).equals(copyTrailer)) bytes = bytes.subarray(0, end)
  }
  yield { binary, bytes }
}

function isBinary(bytes: Buffer): boolean {
  return bytes.length >= fixedHeaderBytes && bytes.subarray(0, signature.length).equals(signature)
}

function headerLength(bytes: Buffer): number {
  return fixedHeaderBytes + bytes.readUInt32BE(signature.length + 4)
}

/** The end of the last complete tuple before the trailer. */
function lastTupleEnd(bytes: Buffer): number {
  let at = 0
  while (at + 2 <= bytes.length && bytes.readInt16BE(at) >= 0) {
    const next = tupleEnd(bytes, at)
    if (next > bytes.length) return at
    at = next
  }
  return at
}

/** The end of the tuple that starts at `at`. It is beyond the bytes if the tuple is incomplete. */
export function tupleEnd(bytes: Buffer, at: number): number {
  const fields = bytes.readInt16BE(at)
  let next = at + 2
  for (let field = 0; field < fields; field++) {
    if (next + 4 > bytes.length) return Number.POSITIVE_INFINITY
    const size = bytes.readInt32BE(next)
    next += size < 0 ? 4 : 4 + size
  }
  return next
}
