import { LockstepError, messageOf, withoutStop } from '../kernel/errors.ts'
import { cannotSaveText } from '../runtime/redis/cannot-save.ts'
import type { RedisConnection } from '../runtime/redis/redis.ts'
import { tlsFailureOf, tlsMessage } from '../runtime/tls-failure.ts'

/** What to do about errors of Redis, by their first word. */
const remedies: Readonly<Record<string, string>> = {
  OOM: 'It is full: raise its maxmemory, or delete other data in it.',
  NOAUTH: 'Put the password into LOCKSTEP_REDIS_URL, as in redis://:password@host:6379.',
  WRONGPASS: 'Correct the user and the password in LOCKSTEP_REDIS_URL.',
  NOPERM: 'Give the user in LOCKSTEP_REDIS_URL permission, or use another user.',
  READONLY: 'It is a replica: set LOCKSTEP_REDIS_URL to the primary.',
  MISCONF: `It ${cannotSaveText}`,
  LOADING: 'It is still starting: try again.',
  BUSY: 'Another script blocks it: try again.',
  MASTERDOWN: 'It is a replica that has lost its primary.',
  NOREPLICAS: 'It refuses writes while it has too few replicas (min-replicas-to-write).',
  CLUSTERDOWN: 'A part of the cluster has no primary: see "CLUSTER NODES" on any node.',
}

const wrongDatabase = 'Correct the number of the database at the end of LOCKSTEP_REDIS_URL, or raise "databases" in Redis.'

/** The error of a cluster's node to a client for a single Redis. */
const ofCluster: ReadonlySet<string> = new Set(['MOVED', 'ASK', 'CROSSSLOT', 'CLUSTERDOWN'])

/** Translates the failure of a command for users: no answer, or an answer that says why not. */
export function redisError(cause: unknown, connection: RedisConnection): LockstepError {
  if (cause instanceof LockstepError) return cause
  const where = `Redis at "${connection.server}"`
  const trouble = connection.kind === 'cluster' ? (connection.trouble()?.message ?? '') : ''
  if (trouble.includes('cluster support disabled')) {
    return new LockstepError(
      'CONFIG_INVALID',
      `${where} is a single server, but LOCKSTEP_REDIS_URL names a cluster. Set LOCKSTEP_REDIS_URL to redis://${connection.server}, or start it with "cluster-enabled yes".`,
      { cause },
    )
  }
  const root = rootOf(cause, connection)
  if (!(root instanceof Error) || root.name !== 'ReplyError') {
    return new LockstepError('REDIS_UNAVAILABLE', `${where} cannot be used: ${reasonOf(root, connection)}. ${remedyOf(root, connection)}`, {
      cause,
    })
  }
  // the server's own text explains a command of the protocol
  const text = root.message.startsWith('NOAUTH ') ? 'NOAUTH (it requires a password, and got none)' : sentence(root.message)
  const kind = text.split(' ', 1)[0] ?? ''
  if (connection.kind !== 'cluster' && ofCluster.has(kind)) return nodeOfCluster(connection.server, cause)
  if (kind === 'WRONGTYPE') {
    return new LockstepError(
      'STATE_CORRUPT',
      `${keyOf(root)} of the online store holds something other than a string: another program writes to this Redis under the same prefix. Set another LOCKSTEP_REDIS_PREFIX, or delete that key.`,
      { cause, details: { redis: kind } },
    )
  }
  const remedy = remedyOfRefusal(text, kind, connection)
  return new LockstepError('REDIS_UNAVAILABLE', `${where} refused a command: ${text}. ${remedy}`, { cause, details: { redis: kind } })
}

function remedyOfRefusal(text: string, kind: string, connection: RedisConnection): string {
  if (text.includes('DB index')) return wrongDatabase
  // it was the primary when the client connected
  if (kind === 'READONLY' && connection.kind === 'sentinel')
    return 'It is a replica now: Lockstep uses the new primary as soon as the Sentinels name it.'
  return remedies[kind] ?? otherServer
}

/** A cluster's node is configured as a single Redis. */
export function nodeOfCluster(server: string, cause?: unknown): LockstepError {
  return new LockstepError(
    'CONFIG_INVALID',
    `Redis at "${server}" is a node of a cluster, but LOCKSTEP_REDIS_URL names a single server. Set LOCKSTEP_REDIS_URL to redis+cluster://${server} (any of its nodes, or several separated by commas).`,
    { cause },
  )
}

/** The client's error of a command names only its own settings; the reason is in the error of the connection. */
function rootOf(cause: unknown, connection: RedisConnection): unknown {
  const first = cause instanceof Error && /^(Command timed out|Reached the max retries|Connection is closed)/.test(cause.message)
  const root = (first ? connection.trouble() : null) ?? cause
  return root instanceof AggregateError && root.message === '' ? root.errors[0] : root
}

const otherServer = 'Check that it is Redis 7.2 or newer, or Valkey. The URL of a Sentinel is redis+sentinel://host:26379/NAME.'
const noCertificate =
  'If it requires a client certificate, name one that it accepts: add "cert=/path/client.crt" and "key=/path/client.key" to LOCKSTEP_REDIS_URL.'

const certifiedNames =
  'Sentinels must name each Redis as its certificate does: set "sentinel resolve-hostnames yes" and "sentinel announce-hostnames yes", and use host names in "sentinel monitor" and "replica-announce-ip".'

function remedyOf(root: unknown, connection: RedisConnection): string {
  // no Sentinel could be asked, and its cause says why
  switch (tlsFailureOf(root) ?? (root instanceof Error ? tlsFailureOf(root.cause) : null)) {
    case 'untrusted':
      return 'Its certificate is not trusted: add "ca=/path/ca.pem", the file of the authority that signed it, to LOCKSTEP_REDIS_URL.'
    case 'name':
      if (connection.kind === 'sentinel' && tlsFailureOf(root) !== null) return certifiedNames
      return 'Use the host name of its certificate in LOCKSTEP_REDIS_URL.'
    case 'expired':
      return 'Replace its certificate. If it is valid, correct the clock of this machine.'
    case 'refused':
      return noCertificate
    case 'plain':
      return 'If it does not use TLS, write "redis" in place of "rediss" in LOCKSTEP_REDIS_URL.'
    default:
      return `Check LOCKSTEP_REDIS_URL and that the server runs.${tlsHint(root, connection)}`
  }
}

/**
 * A server with TLS hangs up on a client without it, and some do the other way round. One that requires a client
 * certificate may hang up before its alert is read. The client of a cluster does not report how its nodes failed.
 */
function tlsHint(root: unknown, { kind, tls, worked }: RedisConnection): string {
  if (worked() || kind === 'socket') return ''
  const text = messageOf(root)
  const hangsUp = /ECONNRESET|EPIPE/.test(text) || text.startsWith('Reached the max retries')
  if (kind !== 'cluster' && !hangsUp) return ''
  const more = kind === 'single' ? '' : `+${kind}`
  const [is, other] = [`rediss${more}`, `redis${more}`]
  return tls
    ? ` If it does not use TLS, write "${other}" in place of "${is}". ${noCertificate}`
    : ` If it uses TLS, write "${is}" in place of "${other}".`
}

function reasonOf(root: unknown, connection: RedisConnection): string {
  const text = messageOf(root)
  if (text.startsWith('Command timed out')) {
    return connection.answerMs === null ? 'it does not answer' : `it did not answer within ${connection.answerMs / 1000} s`
  }
  if (text === 'timeout') return 'it does not answer in time'
  if (text.startsWith('Reached the max retries')) return 'the connection was lost'
  if (connection.kind === 'cluster' && text.startsWith('Connection is closed')) return 'none of its nodes can be reached'
  if (text.startsWith('Too many Cluster redirections'))
    return `a part of it does not answer (${sentence(text.replace(/^.*Last error: (\w*Error: )?/, ''))})`
  if (text.startsWith('Unknown RESP type')) return 'it does not speak the Redis protocol'
  if (tlsFailureOf(root) === 'plain') return 'it does not answer the TLS handshake'
  return sentence(root instanceof Error ? tlsMessage(root) : text)
}

/** The key under which a GET or the script found something else. */
function keyOf(cause: Error): string {
  const { command } = cause as { command?: { name?: unknown; args?: readonly unknown[] } } // the client's, which its types leave out
  // its error text ends at a zero byte of the key, as keys with texts have at their end
  const named = /^WRONGTYPE of the key "([^"]*)/.exec(cause.message)?.[1]
  const [got = named] = command?.name === 'get' ? (command.args ?? []) : []
  return typeof got === 'string' ? `The key "${got}"` : 'A key'
}

function sentence(text: string): string {
  return withoutStop(text.trim())
}
