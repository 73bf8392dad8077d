import type { LockstepError } from '../../kernel/errors.ts'

/** Where an SMTP server is, and how to connect to it. */
export interface SmtpServer {
  readonly host: string
  readonly port: number
  /** `implicit`: from the first byte. `starttls`: before anything else is sent. */
  readonly tls: 'implicit' | 'starttls' | 'off'
  readonly auth: { readonly user: string; readonly pass: string } | null
}

const form = 'write smtps://USER:PASSWORD@HOST, or smtp://… for STARTTLS'

/**
 * Reads `smtps://USER:PASSWORD@HOST:PORT`, `smtp://…` for STARTTLS, or `smtp://HOST?tls=off`.
 *
 * @param invalid makes the error of a fault, which never holds the URL: it may have a password
 */
export function parseSmtpUrl(text: string, invalid: (fault: string) => LockstepError): SmtpServer {
  if (!URL.canParse(text)) throw invalid(`it is no URL; ${form}, and percent-encode special characters of the user and the password`)
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  if (protocol !== 'smtp:' && protocol !== 'smtps:') throw invalid(`it does not begin with smtps:// or smtp://; ${form}`)
  if (hostname === '') throw invalid(`it names no host; ${form}`)
  if (!['', '/'].includes(pathname) || hash !== '' || !['', '?tls=off'].includes(search))
    throw invalid(`after the host it may only have a port and "?tls=off"; ${form}, and percent-encode special characters`)
  const off = search !== ''
  if (off && protocol === 'smtps:') throw invalid('"?tls=off" contradicts smtps://; remove one of them')
  if (off && username !== '') throw invalid('with "?tls=off" the password would be sent unencrypted; remove one of them')
  if ((username === '') !== (password === '')) throw invalid(`it has only one of user and password; ${form}`)
  const tls = off ? 'off' : protocol === 'smtps:' ? 'implicit' : 'starttls'
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? { implicit: 465, starttls: 587, off: 25 }[tls] : Number(port),
    tls,
    auth: username === '' ? null : { user: decoded(username, invalid), pass: decoded(password, invalid) },
  }
}

function decoded(text: string, invalid: (fault: string) => LockstepError): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('its user or password has a "%" that begins no escape; write "%25" for it')
  }
}
