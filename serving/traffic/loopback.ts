import type { IncomingMessage } from 'node:http'
import { isIPv4 } from 'node:net'

/** Whether an address to listen on is reached by this machine alone. */
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

/** What a proxy adds, besides `X-Forwarded-...`. */
const proxyHeaders: ReadonlySet<string> = new Set(['forwarded', 'via', 'x-real-ip'])

/**
 * Whether a request comes from this machine and was sent to it by a name that only this machine has. A proxy that adds
 * no header and replaces `Host` by an address of this machine cannot be told from a program of this machine.
 */
export function isFromHere({ headers, socket }: IncomingMessage): boolean {
  if (!isLoopback(socket.remoteAddress ?? '')) return false
  if (Object.keys(headers).some((name) => name.startsWith('x-forwarded-') || proxyHeaders.has(name))) return false
  const name = hostName(headers.host ?? '')
  return isLoopback(name) || name.endsWith('.localhost')
}
