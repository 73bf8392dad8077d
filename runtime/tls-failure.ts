/**
 * Why a client could not speak TLS with a server:
 *
 * - `untrusted`: no authority that this process trusts has signed the certificate
 * - `name`: the certificate is of another host
 * - `expired`: the certificate is not valid at this time
 * - `refused`: the server speaks TLS and refuses this client, such as for a client certificate that it lacks
 * - `plain`: the server answers something other than TLS, or nothing
 */
export type TlsFailure = 'untrusted' | 'name' | 'expired' | 'refused' | 'plain'

/** A server that accepts a connection and leaves the handshake without an answer. */
export class SilentHandshake extends Error {
  constructor() {
    super('it does not answer the TLS handshake')
  }
}

/** @returns null: the error has another reason */
export function tlsFailureOf(error: unknown): TlsFailure | null {
  if (error instanceof SilentHandshake) return 'plain'
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'name'
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'expired'
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_UNTRUSTED/.test(code)) return 'untrusted'
  if (/^ERR_SSL_.*_ALERT_/.test(code)) return 'refused'
  return /^ERR_SSL_|^EPROTO$/.test(code) ? 'plain' : null
}

/** The message without what is about OpenSSL's sources and Node's own options. */
export function tlsMessage(error: Error): string {
  if (tlsFailureOf(error) === null) return error.message
  const ofOpenSsl = 'code' in error && /^ERR_SSL_|^EPROTO$/.test(String(error.code))
  if (ofOpenSsl && 'reason' in error && typeof error.reason === 'string') return error.reason
  return error.message.split(';', 1)[0] ?? ''
}
