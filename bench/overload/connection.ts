import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** A keep-alive connection with at most one request in flight. */
export interface Connection {
  send(request: Buffer): void
  close(): void
}

/**
 * @param onAnswer called with the status of each complete answer
 * @param onLost called when the connection ends while a request waits
 */
export function openConnection(port: number, onAnswer: (status: number) => void, onLost: () => void): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let waits = false
    /** The bytes that are still missing from an answer that has begun. */
    let rest = 0
    let status = 0
    const take = (size: number, buffer: Uint8Array): boolean => {
      if (rest === 0) {
        const answer = buffer as Buffer
        const headEnd = answer.subarray(0, size).indexOf('\r\n\r\n')
        const head = answer.toString('latin1', 0, headEnd)
        const length = /content-length: (\d+)/i.exec(head)?.[1]
        if (headEnd < 0 || length === undefined)
          throw new Error(`no whole head, or no content-length: ${answer.toString('latin1', 0, size)}`)
        status = Number(head.slice(9, 12))
        rest = headEnd + 4 + Number(length)
      }
      rest -= size
      if (rest > 0) return true
      waits = false
      onAnswer(status)
      return true
    }
    // one buffer for all: whatever the bench takes of the machine, the server lacks
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: shared, callback: take } })
    socket.on('connect', () =>
      resolve({
        send(request) {
          waits = true
          socket.write(request)
        },
        close: () => socket.destroy(),
      }),
    )
    socket.on('error', reject)
    socket.on('close', () => {
      if (waits) onLost()
    })
  })
}

const shared = Buffer.alloc(1 << 16)
