import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { HttpServer } from '../protocols/http/http-server.ts'

/** How often idle connections are closed while others are not, milliseconds. */
const stepMs = 20

/**
 * So long a new connection may send nothing: its first request is on the way as a rule, and to close it then is to
 * reset it.
 */
const freshMs = 500

/** How long it goes on accepting connections while more come than it can take in. */
const takeInMs = 500
/** Turns in which none came; the first may begin after connections were looked for. */
const quietTurns = 3

/**
 * Ends a server by and by: it waits until the last request is answered and its connection closed; past `capMs` the
 * connections are cut. Those that have sent nothing for a while are idle, though Node does not count them.
 *
 * @param http before it listens
 */
export function drainOf(http: HttpServer): (capMs: number) => Promise<void> {
  /** With when they came, milliseconds of `performance.now()`. */
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
   * Until no connection waits to be accepted, for what waits is reset as the server stops listening: each turn of the
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
