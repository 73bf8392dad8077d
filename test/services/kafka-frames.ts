import { Reader, Writer } from '@platformatic/kafka'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** Calls back with each whole frame, with its length. */
export function frames(onFrame: (frame: Buffer) => void): (bytes: Buffer) => void {
  let received: Buffer = Buffer.alloc(0)
  return (bytes) => {
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes])
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE()) {
      const size = 4 + received.readInt32BE()
      onFrame(received.subarray(0, size))
      received = received.subarray(size)
    }
  }
}

export function withLength(body: Writer): Buffer {
  const head = Buffer.alloc(4)
  head.writeInt32BE(body.length)
  return Buffer.concat([head, body.buffer])
}

/** A connection to a broker of Kafka. */
export interface Connection {
  readonly socket: Socket
  /** Sends a whole request. @returns its whole answer */
  send(frame: Buffer): Promise<Buffer>
  /** Sends a request of a version without tags. @returns its answer after the head */
  call(key: number, version: number, body: (w: Writer) => void): Promise<Reader>
  close(): void
}

export function createConnection({ host, port }: { readonly host: string; readonly port: number }): Connection {
  const socket = connect(port, host).setNoDelay()
  const waiting: { resolve(reply: Buffer): void; reject(error: Error): void }[] = []
  socket.on('error', () => undefined)
  socket.on('close', () => {
    for (const each of waiting.splice(0)) each.reject(new Error('The broker hung up.'))
  })
  // brokers answer in the order of the requests
  socket.on('data', frames((reply) => waiting.shift()?.resolve(reply))) // prettier-ignore
  const send = (frame: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('The broker hung up.'))
      waiting.push({ resolve, reject })
      socket.write(frame)
    })
  return {
    socket,
    send,
    async call(key, version, body) {
      const request = Writer.create().appendInt16(key).appendInt16(version).appendInt32(1).appendString('coordinator', false)
      body(request)
      const reply = Reader.from(await send(withLength(request)))
      reply.skip(8)
      return reply
    },
    close: () => socket.destroy(),
  }
}
