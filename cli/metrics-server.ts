import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { createMetricsRegistry } from '../runtime/metrics.ts'
import { listening } from '../serving/listening.ts'

export interface MetricsServer {
  readonly port: number
  close(): Promise<void>
}

/** Answers `GET /metrics`, `GET /livez` and `GET /readyz` for a process that serves nothing else. @throws LockstepError `PORT_IN_USE` */
export async function serveMetrics(
  registry: ReturnType<typeof createMetricsRegistry>,
  host: string,
  port: number,
  away: () => readonly string[],
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/livez') response.setHeader('content-type', 'application/json').end('{"live":true}')
    else if (path === '/readyz') {
      const missing = away()
      response.writeHead(missing.length === 0 ? 200 : 503, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ ready: missing.length === 0, away: missing }))
    } else if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.setHeader('content-type', registry.contentType).end(text),
        () => response.writeHead(500).end(),
      )
    } else response.writeHead(404).end()
  })
  await listening(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
