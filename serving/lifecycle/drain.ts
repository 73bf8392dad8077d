import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { HttpServer } from '../protocols/http/http-server.ts'

/** How often idle connections are closed while others are not, milliseconds. */
const stepMs = 20

/**
 * How long a new connection may send nothing: usually its first request is on the way, and closing the connection would
 * reset it.
 */
const freshMs = 500

/** How long it keeps accepting connections while new ones arrive. */
const takeInMs = 500
/** Turns of the event loop without a new connection; the first may begin after the look for connections. */
const quietTurns = 3

/**
 * Ends a server gracefully: it waits until the last request is answered and its connection closed. After `capMs` it
 * cuts the connections. A connection that has sent nothing for a while is idle, though Node does not count it.
 *
 * @param http before it listens
 */
export function createDrain(http: HttpServer): (capMs: number) => Promise<void> {
  /** With the time at which they arrived, milliseconds of `performance.now()`. */
  const connections = new Map<Socket, number>()
  let accepted = 0
  const connected = (socket: Socket): void => {
    accepted++
    connections.set(socket, performance.now())
    socket.once('close', () => connections.delete(socket))
  }
  http.on('connection', connected)
  http.on('secureConnection', connected) // of TLS: what it has read is what was sent within

  function closeIdle(): void {
    http.closeIdleConnections()
    const before = performance.now() - freshMs
    for (const [connection, since] of connections) if (connection.bytesRead === 0 && since < before) connection.destroy()
  }

  /**
   * Accepts until no connection waits: those that wait are reset when the server stops listening. Each turn of the
   * event loop accepts one, and reads what was sent.
   */
  async function takeIn(): Promise<void> {
    const until = performance.now() + takeInMs
    for (let quiet = 0; quiet < quietTurns && performance.now() < until; quiet++) {
      const before = accepted
      await turn()
      if (accepted > before) quiet = 0
    }
  }

  return async (capMs) => {
    if (!http.listening) return
    await takeIn()
    const closed = new Promise<void>((resolve) => http.close(() => resolve()))
    const idle = setInterval(() => void turn().then(closeIdle), stepMs)
    const cap = setTimeout(() => http.closeAllConnections(), capMs)
    await closed
    clearInterval(idle)
    clearTimeout(cap)
  }
}
