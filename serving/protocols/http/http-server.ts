import type { RequestListener, Server, ServerOptions } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from '../../../runtime/node-http.ts'
import type { TlsPair } from '../../../runtime/tls-pair.ts'
import { answerClientError, maxHeadBytes } from './response/client-error.ts'
import { IncomingRequest } from './request/incoming-request.ts'

/**
 * How long a connection may be idle. Load balancers usually close theirs after a minute: so none sends a request into a
 * connection that is being closed.
 */
const keepAliveMs = 75_000

export type HttpServer = Server<typeof IncomingRequest> | TlsServer<typeof IncomingRequest>

/** @param tls null: it speaks plain HTTP */
export function createHttpServer(
  listener: RequestListener<typeof IncomingRequest>,
  { headMs, requestMs, tls }: { readonly headMs: number; readonly requestMs: number; readonly tls: TlsPair | null },
): HttpServer {
  const options: ServerOptions<typeof IncomingRequest> = {
    IncomingMessage: IncomingRequest,
    headersTimeout: headMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: 1000,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: maxHeadBytes,
  }
  const http = tls === null ? createServer(options, listener) : secure(tls)
  http.on('clientError', answerClientError)
  return http

  function secure(pair: TlsPair): TlsServer<typeof IncomingRequest> {
    const server = createTlsServer({ ...options, ...pair.context, handshakeTimeout: headMs }, listener)
    // Node reports a handshake that took too long and leaves its connection open: writes to it would wait for ever
    server.on('tlsClientError', (_, socket) => socket.destroy())
    pair.onChange((context) => server.setSecureContext(context))
    return server
  }
}
