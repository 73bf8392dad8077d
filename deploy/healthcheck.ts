import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

// The health check of a container: whether its process answers GET /livez, on the port for metrics if it has one. The
// certificate is not checked, as it names another host.
const { LOCKSTEP_METRICS_PORT: metricsPort = '', LOCKSTEP_PORT: ownPort = '', LOCKSTEP_TLS_CERT: certificate = '' } = process.env
const isTls = metricsPort === '' && certificate !== ''
const options = {
  host: '127.0.0.1',
  port: Number(metricsPort || ownPort || 8080),
  path: '/livez',
  timeout: 4_000,
  rejectUnauthorized: false,
}
const request = (isTls ? requestHttps : requestHttp)(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
request.on('timeout', () => process.exit(1))
request.on('error', () => process.exit(1))
request.end()
