import type { IncomingMessage } from 'node:http'
import { isIP, isIPv4 } from 'node:net'
import { LockstepError } from '../../kernel/errors.ts'

/** Whether only this machine reaches an address to listen on. */
export function isLoopback(host: string): boolean {
  const name = host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/^::ffff:/, '')
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
}

/** The name or the address in a header `Host`, without its port and in lower case; empty: the header is malformed. */
export function hostName(header: string): string {
  return /^(\[[^\]]*\]|[^:]*)(:\d*)?$/.exec(header)?.[1]?.toLowerCase() ?? ''
}

/** Headers that proxies add, besides `X-Forwarded-...`. */
const proxyHeaders: ReadonlySet<string> = new Set(['forwarded', 'via', 'x-real-ip'])

/**
 * Whether a request comes from this machine and was sent to a name that only this machine has. A proxy that adds no
 * header and replaces `Host` by an address of this machine looks like a program of this machine.
 */
export function isFromHere({ headers, socket }: IncomingMessage): boolean {
  if (!isLoopback(socket.remoteAddress ?? '')) return false
  if (Object.keys(headers).some((name) => name.startsWith('x-forwarded-') || proxyHeaders.has(name))) return false
  const name = hostName(headers.host ?? '')
  return isLoopback(name) || name.endsWith('.localhost')
}

/**
 * Accepts requests to an address, or to this machine by its own name. A page can make its own name point at this
 * machine (DNS rebinding): its browser then takes the server for the page's own, and only `Host` shows that name. A
 * server without keys needs this check.
 *
 * @param host the header; undefined: the request comes from no browser
 * @throws LockstepError `FORBIDDEN`
 */
export function requireLocalHost(host: string | undefined): void {
  if (host === undefined) return
  const name = hostName(host)
  if (name === 'localhost' || name.endsWith('.localhost') || isIP(name.replaceAll(/^\[|\]$/g, '')) !== 0) return
  const sent = host.slice(0, 200)
  throw new LockstepError(
    'FORBIDDEN',
    `Without API keys the server answers only to its address and to "localhost", not to "${sent}". Use one of those, or create a key with "lockstep keys create".`,
    { details: { host: sent } },
  )
}
