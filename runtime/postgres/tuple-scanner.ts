import type { TupleBatch } from './database.ts'

const headerMark = 0x50 // 'P' of PGCOPY: no tuple starts so, it would have over 20,000 fields
const trailerMark = 0xff // the high byte of the field count -1
const copySignatureBytes = 11

export interface Scan {
  readonly batch: TupleBatch
  /**
   * From the first message on that `isRows` and `skip` do not cover; null while there was none. It and all that follows
   * were not read.
   */
  readonly rest: Buffer | null
}

export interface TupleScanner {
  /** Finds the tuples of the next bytes of the wire. A message that is cut off at their end waits for the next call. */
  push(chunk: Buffer): Scan
}

/**
 * Cuts PostgreSQL's wire into tuples without copying them. A CopyData message of a binary COPY and a DataRow message
 * both hold exactly one tuple (the protocol promises "always one per row"), so that only the messages need to be
 * walked, never the fields. COPY's header precedes the first tuple, or the trailer, in its message; the trailer is a
 * tuple of -1 fields.
 *
 * @param rowMessage the type byte of the messages that hold tuples: CopyData or DataRow
 * @param skip the type bytes of messages to pass over
 */
export function createTupleScanner(rowMessage: number, skip: ReadonlySet<number>): TupleScanner {
  let parts: Buffer[] = []
  let held = 0
  let needed = 0

  return {
    push(chunk) {
      const starts: number[] = []
      let bytes = chunk
      if (held > 0) {
        parts.push(chunk)
        held += chunk.length
        if (held < needed) return { batch: { bytes, starts }, rest: null }
        bytes = Buffer.concat(parts, held)
        parts = []
        held = 0
      }
      const length = bytes.length
      let at = 0
      needed = 5
      while (at + 5 <= length) {
        const end = at + 1 + bytes.readUInt32BE(at + 1)
        const type = bytes[at]
        if (type === rowMessage) {
          if (end > length) {
            needed = end - at
            break
          }
          const start = tupleStart(bytes, at + 5, end)
          if (start >= 0) starts.push(start)
        } else if (skip.has(type ?? 0)) {
          if (end > length) {
            needed = end - at
            break
          }
        } else {
          return { batch: { bytes, starts }, rest: bytes.subarray(at) }
        }
        at = end
      }
      if (at < length) {
        parts.push(bytes.subarray(at))
        held = length - at
      }
      return { batch: { bytes, starts }, rest: null }
    },
  }
}

/** Where the tuple of a message's payload starts, -1 where it holds none. */
function tupleStart(bytes: Buffer, payload: number, end: number): number {
  let start = payload
  if (bytes[start] === headerMark) {
    start += copySignatureBytes + 8 + bytes.readUInt32BE(start + copySignatureBytes + 4)
  }
  return start >= end || bytes[start] === trailerMark ? -1 : start
}
