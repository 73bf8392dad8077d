import type { Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'

// Node's own channel (`fork` with `serialization: 'advanced'`) is not used here: a model is foreign code, a child may send
// anything, and the parent's channel throws outside any handler on bytes that are no value. Here a bad frame is a call back.
//
// A frame is its length (uint32, little-endian), its kind (one byte) and its body: a value as V8 writes it, or bytes as they are.
const headerBytes = 5
const valueKind = 0
const bytesKind = 1
/** A frame that claims more is refused before it is read. */
const maxFrameBytes = 2 ** 30
/** Bytes go in pieces of this size, so that writing many never holds the event loop. */
const pieceBytes = 128 * 1024

/** Writes a value: plain objects, arrays, typed arrays, bigints and texts. */
export function writeValue(socket: Socket, value: unknown): void {
  const body = serialize(value)
  socket.cork()
  socket.write(header(body.length, valueKind))
  socket.write(body)
  socket.uncork()
}

/** Writes bytes in pieces, each once the socket has taken what came before; resolves early where the socket closes. */
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
  /** Called once for a frame that is too large or is no value; what follows it is not read. */
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
