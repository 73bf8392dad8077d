import { LockstepError } from '../../kernel/errors.ts'
import { readTrusted } from '../settings/trusted-files.ts'

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']
const setting = 'LOCKSTEP_POSTGRES_URL'
const names = { ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' }
const parameters = ['ssl', 'sslmode', 'sslnegotiation', 'uselibpqcompat', ...Object.values(names)]

/**
 * Checks the parameters of TLS of a URL, and writes them so that the client takes each as it is documented. The client
 * reads the files again for each connection.
 *
 * @throws LockstepError `CONFIG_INVALID`
 */
export function resolvePostgresTls(query: URLSearchParams, host: string): void {
  // as in libpq, a Unix socket has no TLS
  if (host.startsWith('/')) {
    for (const name of parameters) query.delete(name)
    query.set('sslmode', 'disable')
    return
  }
  const mode = modeOf(query)
  if (mode === null) {
    query.delete('sslmode')
    return
  }
  const isSystem = query.get(names.ca) === 'system'
  if (isSystem) query.delete(names.ca)
  // libpq takes no weaker mode with the authorities of the system, and has no "no-verify"
  if (isSystem || mode === 'no-verify') query.delete('uselibpqcompat')
  const [ca, cert, key] = [query.get(names.ca), query.get(names.cert), query.get(names.key)]
  if ((cert === null) !== (key === null))
    throw invalid(
      `names ${cert === null ? 'a "sslkey" without a "sslcert"' : 'a "sslcert" without a "sslkey"'}`,
      'Name both files, or neither.',
    )
  if (mode !== 'disable') readTrusted({ ca, client: cert === null || key === null ? null : { cert, key } }, setting, names)
  const asLibpq = query.get('uselibpqcompat') === 'true'
  if (asLibpq && mode === 'verify-ca' && ca === null)
    throw invalid('has "sslmode=verify-ca" and no "sslrootcert"', 'Add "sslrootcert=/path/ca.pem", or write "sslmode=verify-full".')
  // the client prints a warning for the other names
  query.set('sslmode', asLibpq || mode === 'disable' || mode === 'no-verify' ? mode : 'verify-full')
}

/** @returns null: the URL asks for no TLS */
function modeOf(query: URLSearchParams): string | null {
  // the older parameter of the client, which crashes on other values
  const ssl = query.get('ssl')
  query.delete('ssl')
  const given = query.get('sslmode') || byOlderParameter(ssl)
  if (given === null)
    return parameters.some((name) => name.startsWith('ssl') && name !== 'sslmode' && query.has(name)) ? 'verify-full' : null
  if (!modes.includes(given)) throw invalid(`has "sslmode=${given}", which is no mode of TLS`, `Write one of ${modes.join(', ')}.`)
  return given
}

function byOlderParameter(ssl: string | null): string | null {
  switch (ssl) {
    case null:
    case 'no-verify':
      return ssl
    case 'true':
    case '1':
      return 'verify-full'
    case 'false':
    case '0':
      return 'disable'
    default:
      throw invalid(`has "ssl=${ssl}", which says nothing about TLS`, 'Write "sslmode=verify-full" or "sslmode=disable".')
  }
}

function invalid(what: string, remedy: string): LockstepError {
  return new LockstepError('CONFIG_INVALID', `${setting} ${what}. ${remedy}`)
}
