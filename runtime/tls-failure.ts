/**
 * Why a client could not speak TLS with a server:
 *
 * - `untrusted`: no authority that this process trusts has signed the certificate
 * - `name`: the certificate is of another host
 * - `expired`: the certificate is not valid at this time
 * - `plain`: the server answers without TLS, or not at all
 */
export type TlsFailure = 'untrusted' | 'name' | 'expired' | 'plain'

/** The message for a server that accepts a connection and leaves the handshake without an answer. */
export const silentHandshake = 'it does not answer the TLS handshake'

/** @returns null: the error has another reason */
export function tlsFailureOf(error: unknown): TlsFailure | null {
  if (!(error instanceof Error)) return null
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'name'
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'expired'
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_UNTRUSTED/.test(code)) return 'untrusted'
  if (error.message === silentHandshake || /^ERR_SSL_|^EPROTO$/.test(code)) return 'plain'
  return error.message.includes('disconnected before secure TLS connection') ? 'plain' : null
}
