import type { Socket } from 'node:net'
import type { HttpServer } from './http/http-server.ts'

/** How often idle connections are closed while others are not, milliseconds. */
const stepMs = 20

/**
 * Ends a server by and by: it waits until the last request is answered and its connection closed; past `capMs` the connections are cut. Those that have sent nothing are idle, though Node does not
 * count them.
 *
 * @param http before it listens
 */
export function drainOf(http: HttpServer): (capMs: number) => Promise<void> {
  const connections = new Set<Socket>()
  const connected = (socket: Socket): void => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  }
  http.on('connection', connected)
  http.on('secureConnection', connected) // of TLS: what it has read is what was sent within

  return async (capMs) => {
    if (!http.listening) return
    const closed = new Promise<void>((resolve) => http.close(() => resolve()))
    const idle = setInterval(() => {
      http.closeIdleConnections()
      for (const connection of connections) if (connection.bytesRead === 0) connection.destroy()
    }, stepMs)
    const cap = setTimeout(() => http.closeAllConnections(), capMs)
    await closed
    clearInterval(idle)
    clearTimeout(cap)
  }
}
