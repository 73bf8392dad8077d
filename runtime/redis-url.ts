import type { TrustedFiles } from './trusted-files.ts'
import { trustedFiles } from './trusted-files.ts'

/** The address of a Redis, from LOCKSTEP_REDIS_URL. */
export interface RedisAddress extends TrustedFiles {
  readonly cluster: boolean
  /** For a cluster, any of its nodes: they report the others. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly username: string | null
  readonly password: string | null
  readonly tls: boolean
}

const schemes = ['redis', 'rediss', 'redis+cluster', 'rediss+cluster']
const defaultPort = 6379

/**
 * Parses `redis://user:password@host:6379` or, for a cluster, `redis+cluster://user:password@host:6379,host:6379`. With
 * `rediss`, the connection uses TLS. `ca` may name the file of the authorities to trust, `cert` and `key` those of a
 * client certificate.
 *
 * @returns null for any other text
 */
export function parseRedisUrl(text: string): RedisAddress | null {
  const [, scheme = '', authority = '', rest = ''] = /^([a-z+]+):\/\/([^/?#]*)(.*)$/.exec(text) ?? []
  if (!schemes.includes(scheme)) return null
  const cluster = scheme.endsWith('+cluster')
  // a cluster has no numbered databases; the client takes no other path and no sockets
  const [, query = ''] = (cluster ? /^(?:\/0?)?(?:\?(.*))?$/ : /^(?:\/\d*)?(?:\?(.*))?$/).exec(rest) ?? [null, null]
  if (query === null) return null
  const { ca, cert, key, ...others } = Object.fromEntries(new URLSearchParams(query))
  const files = trustedFiles({ ca, cert, key }, scheme.startsWith('rediss'))
  if (files === null || (cluster && Object.keys(others).length > 0)) return null
  const at = authority.lastIndexOf('@')
  const hosts = authority.slice(at + 1).split(',')
  if (hosts.length > 1 && !cluster) return null
  // each host is parsed separately, as a URL that the platform can parse
  const urls = hosts.map((host) => URL.parse(`http://${host === '' && !cluster ? '127.0.0.1' : host}`))
  if (!urls.every((url) => url !== null)) return null
  const [username, ...password] = at < 0 ? [] : authority.slice(0, at).split(':')
  try {
    return {
      cluster,
      nodes: urls.map(({ hostname }, i) => ({ host: hostname.replaceAll(/^\[|\]$/g, ''), port: portOf(hosts[i] ?? '') })),
      username: decoded(username),
      password: password.length === 0 ? null : decoded(password.join(':')),
      tls: scheme.startsWith('rediss'),
      ...files,
    }
  } catch {
    return null // a "%" that does not start an encoded character
  }
}

/** The servers in a form that is safe to show: without user and password. */
export function redisServers({ nodes }: RedisAddress): string {
  return nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')
}

function portOf(host: string): number {
  return Number(/:(\d+)$/.exec(host)?.[1] ?? defaultPort)
}

function decoded(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : decodeURIComponent(text)
}
