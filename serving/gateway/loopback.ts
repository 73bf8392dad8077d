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

/** Whether a request comes from this machine, and through nobody else. */
export function isFromHere({ headers, socket }: IncomingMessage): boolean {
  const isPassedOn = headers['x-forwarded-for'] !== undefined || headers['forwarded'] !== undefined
  return !isPassedOn && isLoopback(socket.remoteAddress ?? '')
}
