import type { Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'

// Node's own channel (`fork` with `serialization: 'advanced'`) is not used. A model is foreign code, so the child may
// send anything, and Node's channel throws outside of any handler on invalid bytes (tried with Node 24). Here an
// invalid frame calls `onInvalid`. A library would only add the header, as `node:v8` makes the body.
//
// A frame has a length (uint32, little-endian), a kind (one byte) and a body: a value in V8's serialization format, or
// raw bytes.
const headerBytes = 5
const valueKind = 0
const bytesKind = 1
/** A frame with a greater length is refused before it is read. */
const maxFrameBytes = 2 ** 30
/** Bytes are written in pieces of this size, so that a large model does not block the event loop. */
const pieceBytes = 128 * 1024

/** Writes a value: plain objects, arrays, typed arrays, bigints and strings. */
export function writeValue(socket: Socket, value: unknown): void {
  const body = serialize(value)
  socket.cork()
  socket.write(header(body.length, valueKind))
  socket.write(body)
  socket.uncork()
}

/** Writes bytes in pieces and waits for the socket to drain between them. Resolves early if the socket closes. */
export async function writeBytes(socket: Socket, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length && !socket.destroyed; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes)
    socket.write(header(piece.length, bytesKind))
    if (!socket.write(piece)) await drained(socket)
  }
}

export interface FrameHandlers {
  readonly onValue: (value: unknown) => void
  readonly onBytes?: (bytes: Buffer) => void
  /** Called once for a frame that is too large or not a valid value. Later bytes are not read. */
  readonly onInvalid: () => void
}

/** Calls back for each frame that arrives, in order. */
export function readFrames(socket: Socket, { onValue, onBytes, onInvalid }: FrameHandlers): void {
  let chunks: Buffer[] = []
  let size = 0
  let invalid = false
  const refuse = (): void => {
    invalid = true
    chunks = []
    onInvalid()
  }
  socket.on('data', (chunk: Buffer) => {
    if (invalid) return
    chunks.push(chunk)
    size += chunk.length
    while (size >= headerBytes) {
      const [first] = chunks as [Buffer, ...Buffer[]]
      if (first.length < headerBytes) chunks = [Buffer.concat(chunks)]
      const head = chunks[0] as Buffer
      const end = headerBytes + head.readUInt32LE(0)
      if (end > maxFrameBytes) return refuse()
      if (size < end) return
      const all = chunks.length === 1 ? head : Buffer.concat(chunks)
      const body = all.subarray(headerBytes, end)
      chunks = all.length === end ? [] : [all.subarray(end)]
      size -= end
      if (head[4] !== valueKind) {
        onBytes?.(body)
        continue
      }
      let value: unknown
      try {
        value = deserialize(body)
      } catch {
        return refuse()
      }
      onValue(value)
    }
  })
}

function header(length: number, kind: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes)
  bytes.writeUInt32LE(length, 0)
  bytes[4] = kind
  return bytes
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}
