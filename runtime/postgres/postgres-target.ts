import { LockstepError } from '../../kernel/errors.ts'
import { resolvePostgresTls } from './postgres-tls.ts'

/** Names and values of session settings, independent of the defaults of role and database. */
export const sessionSettings = [
  ['TimeZone', 'UTC'],
  ['DateStyle', 'ISO'],
  ['bytea_output', 'hex'],
  ['extra_float_digits', '1'],
  // without it, 'NULL' in an array is text
  ['array_nulls', 'on'],
  // a transaction that has waited for a lock reads what the others have committed
  ['default_transaction_isolation', 'read committed'],
  ['idle_in_transaction_session_timeout', '0'],
  // listeners and locks are idle sessions
  ['idle_session_timeout', '0'],
  // compiling a query takes up to half of the time of a read of the prediction log
  ['jit', 'off'],
] as const

export interface PostgresTarget {
  /** One for each server, with what every session sets. */
  readonly urls: readonly string[]
  /** `host:port` of each, which may be printed. */
  readonly names: readonly string[]
  /** All names, separated by commas. */
  readonly server: string
  /** Its name, which may be printed; empty: the URL has none. */
  readonly database: string
}

/**
 * Splits a URL that names several servers, as `postgres://user:password@host:5432,host:5432/database`, into one for
 * each.
 */
export function splitHosts(url: string): string[] {
  const [, before = '', hosts, after = ''] = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/is.exec(url) ?? []
  return hosts === undefined ? [url] : hosts.split(',').map((host) => `${before}${host}${after}`)
}

/** @throws LockstepError `CONFIG_INVALID` */
export function parseTarget(url: string): PostgresTarget {
  const found = splitHosts(url).map(parseServer)
  const names = found.map(({ name }) => name)
  return { urls: found.map((each) => each.url), names, server: names.join(','), database: found[0]?.database ?? '' }
}

function parseServer(url: string): { readonly url: string; readonly name: string; readonly database: string } {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new LockstepError('CONFIG_INVALID', 'LOCKSTEP_POSTGRES_URL is not a URL; write "postgres://user:password@host:5432/database".')
  }
  const { searchParams } = parsed
  const host = searchParams.get('host') ?? (decodeURIComponent(parsed.hostname) || 'localhost')
  resolvePostgresTls(searchParams, host)
  const options = searchParams.get('options') ?? ''
  searchParams.set(
    'options',
    [options, ...sessionSettings.map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)].join(' ').trim(),
  )
  // an application_name from the URL is appended, so that all sessions of Lockstep start with `lockstep`
  const application = searchParams.get('application_name') ?? ''
  searchParams.set('application_name', application.startsWith('lockstep') ? application : `lockstep ${application}`.trim())
  // the client decodes no %2F
  parsed.pathname = parsed.pathname.replaceAll(/%2f/gi, '/')
  const name = `${host}:${searchParams.get('port') ?? (parsed.port || '5432')}`
  return { url: parsed.href, name, database: decodeURIComponent(parsed.pathname.slice(1)) }
}
