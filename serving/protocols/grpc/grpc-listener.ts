import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { createServer as createTlsServer } from 'node:tls'
import type { Server, ServerInterceptingCallInterface, ServerInterceptor } from '@grpc/grpc-js'
import { ServerCredentials, ServerInterceptingCall, status } from '@grpc/grpc-js'
import type { Logger } from '../../../runtime/log.ts'
import type { TlsPair } from '../../../runtime/tls-pair.ts'
import { listening } from '../../../runtime/listen.ts'
import { openFilesLimit } from '../../../runtime/open-files.ts'

/** How long connections and calls may take: as those of HTTP. */
export interface GrpcPatience {
  /** How long a connection may be open before its first call begins. */
  readonly firstCallMs: number
  /** How long a call may take to arrive completely. */
  readonly requestMs: number
}

export interface GrpcListener {
  /** @throws LockstepError as `listening` */
  listen(host: string, port: number): Promise<number>
  /** Takes no new connections. */
  stop(): void
}

const sweepMs = 1000
const warnAgainMs = 60_000

/** A call that its client has yet to send completely, or, once it is answered, to read. */
interface Pending {
  readonly peer: string
  readonly sinceMs: number
  readonly answered: boolean
}

/**
 * Cuts connections that never call, and calls that are not sent or whose answers are not read: anyone who reaches the
 * port can open them, each holds a file descriptor or memory, and gRPC's own server waits for all of them forever.
 */
export function createGrpcPatrol({ firstCallMs, requestMs }: GrpcPatience) {
  const sockets = new Map<string, Socket>()
  /** By the peer, when it connected: those that have not called yet, oldest first. */
  const silent = new Map<string, number>()
  /** Oldest first. */
  const pending = new Map<ServerInterceptingCallInterface, Pending>()

  const interceptor: ServerInterceptor = ({ responseStream }, call) => {
    const peer = call.getPeer()
    silent.delete(peer)
    let closed = false
    const note = (answered: boolean): void => {
      // a handler may answer a call that its client has ended: nothing is left to be read
      if (closed) return
      pending.delete(call) // to the end of the order
      pending.set(call, { peer, sinceMs: performance.now(), answered })
    }
    note(false)
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveHalfClose(then) {
            pending.delete(call)
            then()
          },
          // called for every call, once its stream is closed
          onCancel() {
            closed = true
            pending.delete(call)
          },
        })
      },
      sendMessage(message, next) {
        if (!responseStream) note(true)
        next(message)
      },
      sendStatus(sent, next) {
        note(true)
        next(sent)
      },
    })
  }

  const sweep = setInterval(() => {
    const nowMs = performance.now()
    for (const [peer, sinceMs] of silent) {
      if (nowMs - sinceMs < firstCallMs) break
      sockets.get(peer)?.destroy()
    }
    for (const [call, { peer, sinceMs, answered }] of pending) {
      if (nowMs - sinceMs < requestMs) break
      pending.delete(call)
      if (answered) sockets.get(peer)?.destroy()
      else
        call.sendStatus({
          code: status.DEADLINE_EXCEEDED,
          details: `The call was not received completely within ${requestMs / 1000} s; send it faster.`,
        })
    }
  }, sweepMs).unref()

  return {
    interceptor,
    connected(socket: Socket): void {
      const peer = `${socket.remoteAddress}:${socket.remotePort}`
      sockets.set(peer, socket)
      silent.set(peer, performance.now())
      socket.once('close', () => {
        silent.delete(peer)
        sockets.delete(peer)
      })
    },
    /** Ends all connections now. */
    cut(): void {
      for (const socket of sockets.values()) socket.destroy()
    },
    close: () => clearInterval(sweep),
  }
}

export interface GrpcListenerDeps {
  readonly connected: (socket: Socket) => void
  readonly maxConnections: number
  readonly tls: TlsPair | null
  /** How long a TLS handshake may take. */
  readonly firstCallMs: number
  readonly log: Logger
}

/** Accepts connections for a gRPC server, which cannot limit them itself. */
export function createGrpcListener(server: Server, { connected, maxConnections, tls, firstCallMs, log }: GrpcListenerDeps): GrpcListener {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  let warnedMs = Number.NEGATIVE_INFINITY
  const take = (socket: Socket): void => {
    connected(socket)
    injector.injectConnection(socket)
  }
  const accepting = tls === null ? createServer({ noDelay: true }, take) : secure(tls)
  // without the second a pool of processes would offer the connection to its workers again and again
  Object.assign(accepting, { maxConnections, dropMaxConnection: true })
  accepting.on('drop', () => {
    if (performance.now() - warnedMs < warnAgainMs) return
    warnedMs = performance.now()
    log.warn({ maxConnections }, 'gRPC connections are refused: the limit LOCKSTEP_GRPC_MAX_CONNECTIONS is reached')
  })
  return {
    async listen(host, port) {
      await listening(accepting, host, port, 'LOCKSTEP_GRPC_PORT')
      return (accepting.address() as AddressInfo).port
    },
    stop: () => void accepting.close(),
  }

  function secure(pair: TlsPair): TlsServer {
    const secured = createTlsServer({ ...pair.context, ALPNProtocols: ['h2'], handshakeTimeout: firstCallMs, noDelay: true }, take)
    // Node reports a handshake that took too long and leaves its connection open
    secured.on('tlsClientError', (_, socket) => socket.destroy())
    pair.onChange((context) => secured.setSecureContext(context))
    return secured
  }
}

/** A quarter of the files that the process may have open: HTTP, the stores and models need the rest. */
export function defaultMaxConnections(): number {
  return Math.max(16, Math.floor((openFilesLimit() ?? 4096) / 4))
}
