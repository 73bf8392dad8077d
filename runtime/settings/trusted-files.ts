import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** The files that the URL of a server with TLS may name. */
export interface TrustedFiles {
  /** The file of the authorities whose certificates are trusted, in PEM; null: those that Node trusts. */
  readonly ca: string | null
  /** The files of a client certificate and its key, in PEM; null: none. */
  readonly client: { readonly cert: string; readonly key: string } | null
}

/** The names of the parameters of a URL that name the files. */
type TrustedNames = Readonly<Record<'ca' | 'cert' | 'key', string>>

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
 * @param names the parameters of that URL
 * @throws LockstepError `CONFIG_INVALID`
 */
export function readTrusted(
  { ca, client }: TrustedFiles,
  setting: string,
  names: TrustedNames = { ca: 'ca', cert: 'cert', key: 'key' },
): { ca?: string; cert?: string; key?: string } {
  const tls = {
    ...(ca === null ? {} : { ca: textOf(names.ca, ca, setting, hasCertificate) }),
    ...(client === null ? {} : { cert: textOf(names.cert, client.cert, setting), key: textOf(names.key, client.key, setting) }),
  }
  try {
    createSecureContext(tls)
  } catch (cause) {
    const given = (['ca', 'cert', 'key'] as const).filter((name) => name in tls).map((name) => `"${names[name]}"`)
    throw new LockstepError(
      'CONFIG_INVALID',
      `The files ${given.join(', ')} in ${setting} cannot be used: ${messageOf(cause)}. Name files in PEM, and the key that belongs to the certificate, without a passphrase.`,
      { cause },
    )
  }
  return tls
}

function textOf(name: string, file: string, setting: string, isRight: (pem: string) => boolean = () => true): string {
  const problem = (reason: string, cause?: unknown): LockstepError =>
    new LockstepError('CONFIG_INVALID', `The "${name}" in ${setting} cannot be used: the file "${file}" ${reason}. Name a file in PEM.`, {
      cause,
    })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw problem(`cannot be read: ${messageOf(cause)}`, cause)
  }
  // TLS ignores an empty file, and an authority without a certificate
  if (text === '') throw problem('is empty')
  if (!isRight(text)) throw problem('has no certificate')
  return text
}

function hasCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}
