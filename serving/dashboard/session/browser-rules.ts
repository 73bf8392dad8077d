import type { IncomingMessage } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'
import type { UiSettings } from '../../../runtime/settings/ui-settings.ts'
import { hostName, isLoopback } from '../../traffic/loopback.ts'

type Request = Pick<IncomingMessage, 'headers' | 'method' | 'socket'>

/** A page of another origin cannot set it without asking first, and is never allowed to. */
const ownHeader = 'x-lockstep-ui'

/** Names that only this machine has. */
const localNames = ['localhost', '127.0.0.1', '[::1]'] as const

/**
 * Requires a host name of this server. A page can have its own name point at this machine (DNS rebinding), and only
 * `Host` shows that name.
 *
 * @throws LockstepError `MISDIRECTED`
 */
export function requireOwnHost({ headers, socket }: Request, { publicUrl }: Pick<UiSettings, 'publicUrl'>): void {
  const host = headers.host?.toLowerCase() ?? ''
  if (host !== '' && (host === publicUrl?.host || localNames.some((name) => host === withPort(name, socket)))) return
  const sent = host.slice(0, 200)
  throw new LockstepError(
    'MISDIRECTED',
    `The dashboard does not answer to "${sent}". Use http://localhost with the server's port, or set LOCKSTEP_PUBLIC_URL to the address that browsers use.`,
    { details: { host: sent } },
  )
}

function withPort(name: string, socket: Request['socket']): string {
  const standard = 'encrypted' in socket ? 443 : 80
  return socket.localPort === standard ? name : `${name}:${socket.localPort}`
}

/**
 * Requires that a page of the dashboard itself sends a request, for reads as well.
 *
 * @throws LockstepError `FORBIDDEN`, `UNSUPPORTED_MEDIA_TYPE`
 */
export function requireOwnPage(request: Request, { publicUrl }: Pick<UiSettings, 'publicUrl'>): void {
  const { headers, method } = request
  const { origin, host = '', 'content-type': type } = headers
  const site = headers['sec-fetch-site']
  if (headers[ownHeader] !== '1') throw foreign(`the header "${ownHeader}" is missing`)
  if (site !== undefined && site !== 'same-origin') throw foreign(`a page of another site sends it (${String(site).slice(0, 40)})`)
  if (origin !== undefined && origin !== `${isSecure(request, publicUrl) ? 'https' : 'http'}://${host.toLowerCase()}`)
    throw foreign(`a page of the origin "${origin.slice(0, 200)}" sends it`)
  if (method === 'GET' || method === 'HEAD') return
  if (site === undefined && origin === undefined) throw foreign('it has neither "Origin" nor "Sec-Fetch-Site"')
  if (!/^application\/json\s*(;|$)/i.test(type ?? '')) {
    throw new LockstepError('UNSUPPORTED_MEDIA_TYPE', 'The dashboard takes only JSON: send "Content-Type: application/json".')
  }
}

function foreign(why: string): LockstepError {
  return new LockstepError('FORBIDDEN', `Only the dashboard's own pages may send this request: ${why}.`)
}

/** Whether the browser speaks HTTPS: with the server, or with a proxy before it. */
function isSecure({ socket, headers }: Pick<Request, 'socket' | 'headers'>, publicUrl: URL | null): boolean {
  return 'encrypted' in socket || (publicUrl?.protocol === 'https:' && headers.host?.toLowerCase() === publicUrl.host)
}

/** Whether keys and cookies may travel as this request does. @throws LockstepError `FORBIDDEN` */
export function requireSafeWay(request: Request, { publicUrl, insecure }: Pick<UiSettings, 'publicUrl' | 'insecure'>): void {
  if (insecure || isSecure(request, publicUrl) || isLoopback(hostName(request.headers.host ?? ''))) return
  throw new LockstepError(
    'FORBIDDEN',
    'Over plain HTTP, others could read the key. Use HTTPS and name it in LOCKSTEP_PUBLIC_URL, or set LOCKSTEP_UI_INSECURE to true.',
  )
}

/** The secret of the session's cookie; null: there is none. */
export function cookieOf(request: Request, publicUrl: URL | null): string | null {
  const name = cookieName(request, publicUrl)
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return null
}

/** The header that sets the cookie. @param secret null: it ends */
export function setCookie(request: Request, publicUrl: URL | null, secret: string | null): string {
  const isSafe = isSecure(request, publicUrl)
  const more = isSafe ? '; Secure; Path=/' : '; Path=/ui'
  return `${cookieName(request, publicUrl)}=${secret ?? ''}; HttpOnly; SameSite=Strict${more}${secret === null ? '; Max-Age=0' : ''}`
}

/**
 * Safari sends no secure cookie to http://localhost. Cookies are not parted by port, so the name has it.
 */
function cookieName(request: Request, publicUrl: URL | null): string {
  return isSecure(request, publicUrl) ? '__Host-lockstep' : `lockstep_${request.socket.localPort}`
}
