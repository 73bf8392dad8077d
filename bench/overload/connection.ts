import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** A connection that is kept, on which one request at a time waits for its answer. */
export interface Connection {
  send(request: Buffer): void
  close(): void
}

/**
 * @param onAnswer told the status of each answer once it is whole, and its body where it is short
 * @param onLost told when the connection ended while a request waited
 */
export function openConnection(port: number, onAnswer: (status: number) => void, onLost: () => void): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    let waits = false
    let got = ''
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
    socket.on('data', (data) => {
      got += data.toString('latin1')
      const head = got.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/content-length: (\d+)/i.exec(got)?.[1] ?? Number.NaN)
      if (Number.isNaN(length)) throw new Error(`no content-length: ${got}`)
      if (got.length < head + 4 + length) return
      const status = Number(got.slice(9, 12))
      got = ''
      waits = false
      onAnswer(status)
    })
  })
}
