import type { RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import type { IncomingRequest } from './incoming-request.ts'

/** Pipelined requests that wait, of all connections: each takes some kilobytes. */
const maxWaiting = 10_000
/** Each connection may have so many, also beyond that: clients that send many keep out none that send few. */
const minWaiting = 16

export type HttpListener = RequestListener<typeof IncomingRequest>

/**
 * Answers the requests of one connection one after the other. Node parses all that a client has sent and calls the
 * listener for each at once: ten thousand pipelined requests in one segment would be answered at the same time, and
 * their answers held until the client reads. Here each begins once the answer before it is written to the socket.
 * While any waits, the server reads nothing from the connection.
 */
export function serializePipelined(listener: HttpListener): HttpListener {
  const waitingOn = new WeakMap<Socket, number>()
  let waiting = 0

  function change(socket: Socket, by: 1 | -1): number {
    const now = (waitingOn.get(socket) ?? 0) + by
    waitingOn.set(socket, now)
    waiting += by
    return now
  }

  function wait(...[incoming, outgoing]: Parameters<HttpListener>): void {
    const { socket } = incoming
    // the rest of a segment whose connection was cut
    if (socket.destroyed) return
    if (waiting >= maxWaiting && (waitingOn.get(socket) ?? 0) >= minWaiting) {
      socket.destroy()
      return
    }
    change(socket, 1)
    // at the end of each request Node resumes the socket, by a tick: this comes after it
    queueMicrotask(() => {
      if ((waitingOn.get(socket) ?? 0) > 0) socket.pause()
    })
    let waits = true
    const leave = (): void => {
      if (waits && change(socket, -1) === 0) socket.resume()
      waits = false
    }
    incoming.once('close', leave)
    // Node gives the socket to an answer when those before it are out
    outgoing.once('socket', () => {
      leave()
      // requests of other connections run in between
      setImmediate(() => {
        if (!socket.destroyed) listener(incoming, outgoing)
      })
    })
  }

  return (incoming, outgoing) => {
    if (outgoing.socket === null) wait(incoming, outgoing)
    else listener(incoming, outgoing)
  }
}
