import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { LockstepError, messageOf } from '../kernel/errors.ts'

/** The files that the URL of a server with TLS may name. */
export interface TrustedFiles {
  /** The file of the authorities whose certificates are trusted, in PEM; null: those that Node trusts. */
  readonly ca: string | null
  /** The files of a client certificate and its key, in PEM; null: none. */
  readonly client: { readonly cert: string; readonly key: string } | null
}

/**
 * The files in the parameters `ca`, `cert` and `key` of a URL.
 *
 * @returns null: a file has no name, or there is only one of `cert` and `key`, or no TLS
 */
export function trustedFiles(
  { ca, cert, key }: Readonly<Partial<Record<'ca' | 'cert' | 'key', string | undefined>>>,
  tls: boolean,
): TrustedFiles | null {
  if ((cert === undefined) !== (key === undefined)) return null
  if ([ca, cert, key].some((file) => file !== undefined && (!tls || file === ''))) return null
  return { ca: ca ?? null, client: cert === undefined || key === undefined ? null : { cert, key } }
}

/**
 * Reads the files as options of TLS.
 *
 * @param setting the setting whose URL names them
 * @throws LockstepError `CONFIG_INVALID`
 */
export function readTrusted({ ca, client }: TrustedFiles, setting: string): { ca?: string; cert?: string; key?: string } {
  const tls = {
    ...(ca === null ? {} : { ca: textOf('ca', ca, setting) }),
    ...(client === null ? {} : { cert: textOf('cert', client.cert, setting), key: textOf('key', client.key, setting) }),
  }
  try {
    createSecureContext(tls)
  } catch (cause) {
    const names = Object.keys(tls).map((name) => `"${name}"`)
    throw new LockstepError(
      'CONFIG_INVALID',
      `The files ${names.join(', ')} in ${setting} cannot be used: ${messageOf(cause)}. Name files in PEM, and the key that belongs to the certificate, without a passphrase.`,
      { cause },
    )
  }
  return tls
}

function textOf(name: 'ca' | 'cert' | 'key', file: string, setting: string): string {
  const problem = (reason: string, cause?: unknown): LockstepError =>
    new LockstepError('CONFIG_INVALID', `The "${name}" in ${setting} cannot be ${reason}. Name a file in PEM.`, { cause })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw problem(`read: ${messageOf(cause)}`, cause)
  }
  // TLS ignores an empty file, and an authority without a certificate
  if (text === '') throw problem(`used: the file "${file}" is empty`)
  if (name === 'ca' && !hasCertificate(text)) throw problem(`used: the file "${file}" has no certificate`)
  return text
}

function hasCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}
