import type { AddressInfo } from 'node:net'
import type { Config } from '../../runtime/config.ts'
import { cacheFor } from '../../runtime/cache-for.ts'
import { createServer } from '../../runtime/node-http.ts'
import { isFromHere } from '../traffic/loopback.ts'
import { maxHeadBytes } from '../protocols/http/response/client-error.ts'
import { serializePipelined } from '../protocols/http/request/serialize-pipelined.ts'
import { IncomingRequest } from '../protocols/http/request/incoming-request.ts'
import { listening } from '../../runtime/listen.ts'

export interface MetricsServer {
  readonly port: number
  close(): Promise<void>
}

/** The source of a metrics server: the state of its process. */
export interface MetricsSource {
  /** As Prometheus reads them. */
  metrics(): Promise<string>
  readonly contentType: string
  /** `reasons` and `warnings`, which name hosts and views, are for this machine alone. */
  readiness(): Promise<{ readonly ready: boolean; readonly reasons?: unknown; readonly warnings?: unknown }>
}

/** Few programs scrape metrics. */
const maxConnections = 100
/** How long a connection may do nothing, and how long a request may take to come. */
const idleMs = 75_000
const requestMs = 10_000
/** How long metrics that were made are answered again. */
const keepMs = 1000

/**
 * Answers `GET /metrics`, `GET /livez` and `GET /readyz` on a port of their own, without a key.
 *
 * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not of this machine
 */
export async function serveMetrics(
  source: MetricsSource,
  { metricsHost }: Pick<Config, 'metricsHost'>,
  port: number,
): Promise<MetricsServer> {
  const metrics = cacheFor(keepMs, () => source.metrics())

  async function answerTo(request: IncomingRequest): Promise<readonly [status: number, type: string, body: string]> {
    switch (request.url?.split('?')[0]) {
      case '/livez':
        return [200, 'application/json', '{"live":true}']
      case '/readyz': {
        const { reasons, warnings, ...open } = await source.readiness()
        const said = isFromHere(request) ? { ...open, reasons, warnings } : open
        return [open.ready ? 200 : 503, 'application/json', JSON.stringify(said)]
      }
      case '/metrics':
        return [200, source.contentType, await metrics()]
      default:
        return [404, 'text/plain', 'Here are /metrics, /livez and /readyz.\n']
    }
  }

  const server = createServer(
    { IncomingMessage: IncomingRequest, headersTimeout: requestMs, requestTimeout: requestMs, maxHeaderSize: maxHeadBytes },
    serializePipelined((request, response) => {
      request.dropRest(() => undefined)
      answerTo(request).then(
        ([status, type, body]) => response.writeHead(status, { 'content-type': type }).end(body),
        () => response.writeHead(500).end(),
      )
    }),
  )
  server.maxConnections = maxConnections
  server.setTimeout(idleMs)
  await listening(server, metricsHost, port, 'LOCKSTEP_METRICS_PORT')
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
