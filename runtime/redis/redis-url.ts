import type { RedisOptions } from 'ioredis'
import type { TrustedFiles } from '../settings/trusted-files.ts'
import { trustedFiles } from '../settings/trusted-files.ts'

/**
 * - `single`: one server
 * - `socket`: one server, at a Unix socket
 * - `sentinel`: the primary that Sentinels name
 * - `cluster`: a Redis Cluster
 */
export type RedisKind = 'single' | 'socket' | 'sentinel' | 'cluster'

export interface RedisServer {
  readonly host: string
  readonly port: number
}

/** The address of a Redis, from LOCKSTEP_REDIS_URL. */
export interface RedisAddress extends TrustedFiles {
  readonly kind: RedisKind
  /** For a cluster, any of its nodes: they report the others. Of kind `sentinel`: the Sentinels. None for a socket. */
  readonly nodes: readonly RedisServer[]
  /** The path of a socket. */
  readonly path: string | null
  readonly username: string | null
  readonly password: string | null
  /** The number of the database. For a single server the client finds it in the URL. */
  readonly database: number
  readonly tls: boolean
  readonly sentinel: Sentinel | null
}

export interface Sentinel {
  /** The name of the primary, as in `sentinel monitor NAME`. */
  readonly name: string
  readonly username: string | null
  readonly password: string | null
}

/** The schemes, without the second "s" for TLS. */
const kinds: ReadonlyMap<string, RedisKind> = new Map([
  ['redis', 'single'],
  ['redis+cluster', 'cluster'],
  ['redis+sentinel', 'sentinel'],
  ['unix', 'socket'],
])
const defaultPort = 6379
const defaultSentinelPort = 26379

const examples =
  'a URL such as redis://:password@host:6379, rediss://host:6379?ca=FILE&cert=FILE&key=FILE, redis+cluster://host:6379,host:6379 for a cluster, redis+sentinel://host:26379,host:26379/NAME for Sentinel, or unix:///run/redis/redis.sock'

/**
 * Parses the URL of a Redis:
 *
 *     redis://user:password@host:6379/2
 *     redis+cluster://user:password@host:6379,host:6379
 *     redis+sentinel://user:password@host:26379,host:26379/NAME/2?sentinel_username=…&sentinel_password=…
 *     unix://user:password@/run/redis/redis.sock?db=2
 *
 * With `rediss`, connections use TLS. `ca` may name the file of the authorities to trust, `cert` and `key` those of a
 * client certificate.
 *
 * @returns null for any other text: `redisUrlProblem` says why
 */
export function parseRedisUrl(text: string): RedisAddress | null {
  const read = readRedisUrl(text)
  return typeof read === 'string' ? null : read
}

/** @returns what the URL must be; null: it is one. No part of it is repeated, because it may hold a password. */
export function redisUrlProblem(text: string): string | null {
  const read = readRedisUrl(text)
  return typeof read === 'string' ? read : null
}

function readRedisUrl(text: string): RedisAddress | string {
  const [, scheme = '', authority = '', path = '', query = ''] = /^([a-z+]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(text) ?? []
  const tls = scheme.startsWith('rediss')
  const kind = kinds.get(tls ? scheme.replace('rediss', 'redis') : scheme)
  if (kind === undefined) return examples
  const { ca, cert, key, ...parameters } = Object.fromEntries(new URLSearchParams(query))
  const files = trustedFiles({ ca, cert, key }, tls)
  if (files === null)
    return 'a URL that names certificates with TLS alone, and a "cert" with its "key": rediss://host:6379?ca=FILE&cert=FILE&key=FILE'
  const at = authority.lastIndexOf('@')
  const hosts = authority.slice(at + 1)
  const nodes = kind === 'socket' ? [] : serversOf(hosts, kind)
  if (nodes === null) return `a URL whose servers are HOST:PORT${kind === 'single' ? '' : ', separated by commas'}`
  if (kind === 'single' && nodes.length > 1)
    return 'a URL of one server, or redis+cluster://host:6379,host:6379 for a cluster, or redis+sentinel://host:26379,host:26379/NAME for Sentinel'
  const [username, ...password] = at < 0 ? [] : authority.slice(0, at).split(':')
  try {
    const place = placeOf(kind, { hosts, path, parameters })
    if (typeof place === 'string') return place
    return {
      kind,
      nodes,
      username: decoded(username),
      password: password.length === 0 ? null : decoded(password.join(':')),
      tls,
      ...place,
      ...files,
    }
  } catch {
    return 'a URL that has %25 for each "%"' // a "%" that does not start an encoded character
  }
}

interface UrlParts {
  readonly hosts: string
  readonly path: string
  /** Without those of TLS. */
  readonly parameters: Readonly<Record<string, string>>
}

/**
 * What a URL of a kind says in its path and parameters.
 *
 * @returns a text: what the URL must be
 */
function placeOf(kind: RedisKind, { hosts, path, parameters }: UrlParts): Pick<RedisAddress, 'path' | 'database' | 'sentinel'> | string {
  const names = Object.keys(parameters)
  switch (kind) {
    case 'single':
      // the client takes other parameters, and would take another path for a database
      return /^(?:\/\d*)?$/.test(path) ? { path: null, database: 0, sentinel: null } : examples
    case 'cluster':
      if (!/^(?:\/0?)?$/.test(path) || names.includes('db')) return 'a URL without a database: a cluster has none but 0'
      if (names.length > 0) return 'a URL of a cluster with no other parameters than ca, cert and key'
      return { path: null, database: 0, sentinel: null }
    case 'sentinel': {
      const [, name, database = '0'] = /^\/([\w.-]+)(?:\/(\d+)?)?$/.exec(decodeURIComponent(path)) ?? []
      if (name === undefined || names.includes('db'))
        return 'a URL that has the name of the primary behind the Sentinels, and then the database if it is not 0: redis+sentinel://host:26379,host:26379/NAME/2'
      const { sentinel_username: user = null, sentinel_password: password = null, ...others } = parameters
      if (Object.keys(others).length > 0)
        return 'a URL for Sentinel with no other parameters than sentinel_username, sentinel_password, ca, cert and key'
      if (user !== null && password === null) return 'a URL that has a sentinel_password with the sentinel_username'
      return { path: null, database: Number(database), sentinel: { name, username: user, password } }
    }
    case 'socket': {
      const { db = '0', ...others } = parameters
      if (hosts !== '' || path.length < 2 || !/^\d+$/.test(db) || Object.keys(others).length > 0)
        return 'a URL of a socket such as unix:///run/redis/redis.sock or unix://user:password@/run/redis/redis.sock?db=2'
      return { path: decodeURIComponent(path), database: Number(db), sentinel: null }
    }
    default:
      return kind satisfies never
  }
}

/** @returns null: one of them cannot be parsed */
function serversOf(hosts: string, kind: RedisKind): RedisServer[] | null {
  // each host is parsed separately, as a URL that the platform can parse
  const urls = hosts.split(',').map((host) => URL.parse(`http://${host === '' && kind === 'single' ? '127.0.0.1' : host}`))
  if (!urls.every((url) => url !== null)) return null
  const port = kind === 'sentinel' ? defaultSentinelPort : defaultPort
  return hosts.split(',').map((host, i) => ({
    host: (urls[i]?.hostname ?? '').replaceAll(/^\[|\]$/g, ''),
    port: Number(/:(\d+)$/.exec(host)?.[1] ?? port),
  }))
}

/** The servers in a form that is safe to show: without user and password. */
export function redisServers({ nodes, path, sentinel }: RedisAddress): string {
  if (path !== null) return path
  return `${nodes.map(addressOf).join(',')}${sentinel === null ? '' : `/${sentinel.name}`}`
}

/** `host:port`, or the path of its socket. */
export function addressOf({ host = '', port, path }: Pick<RedisOptions, 'host' | 'port' | 'path'>): string {
  return path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`
}

function decoded(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : decodeURIComponent(text)
}
