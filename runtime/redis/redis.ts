import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { createSecureContext, TLSSocket } from 'node:tls'
import { Redis } from 'ioredis'
import type { Command, RedisOptions } from 'ioredis'
import { startPatientTimer } from '../async.ts'
import { addressOf, parseRedisUrl, redisServers } from './redis-url.ts'
import type { RedisAddress, RedisKind } from './redis-url.ts'
import { SilentHandshake } from '../tls-failure.ts'
import type { TrustedFiles } from '../settings/trusted-files.ts'
import { readTrusted } from '../settings/trusted-files.ts'

const connectTimeoutMs = 2_000
/** The client's own limit passes while the process is stalled: `setPatientTimeouts`. */
export const noConnectTimeout = 0
/** Including the start and end of a command, a failure is reported within 5 s. */
export const commandTimeoutMs = 3_000
export const maxReconnectDelayMs = 1_000
/** How long running commands may continue after the process was asked to stop. */
export const stopMs = 1_000

/** The addresses of clients for messages. */
const addresses = new WeakMap<Redis, RedisAddress>()

/**
 * Connects to one Redis 7.2+ or Valkey, in the background and again whenever the connection is lost, so that a server
 * can start while its Redis is down. A command fails within 3 s where there is no connection or no answer; the online
 * store says `REDIS_UNAVAILABLE` then.
 *
 * @param url as `redis://:password@host:6379`, `rediss:` for TLS, or `unix:` for a socket
 * @param options.signal once it is aborted, commands get a second more; then the connection is cut
 * @throws LockstepError `CONFIG_INVALID` where a file of its certificates cannot be used
 */
export function openRedis(url: string, options: { readonly signal?: AbortSignal | undefined } = {}): Redis {
  const address = parseRedisUrl(url)
  const redis =
    address?.kind === 'socket'
      ? new Redis({ ...clientOptions, ...accountOf(address), path: address.path ?? '' })
      : new Redis(url, { ...clientOptions, ...(address?.tls === true ? { tls: redisTls(address) } : {}) })
  superviseClient(redis, address, options.signal)
  return redis
}

export const clientOptions = {
  connectTimeout: noConnectTimeout,
  commandTimeout: commandTimeoutMs,
  maxRetriesPerRequest: 1,
  retryStrategy: (attempt: number) => Math.min(attempt * 50, maxReconnectDelayMs),
} satisfies RedisOptions

/** The user and the database of an address, for clients that do not get its URL. */
export function accountOf({ username, password, database }: Pick<RedisAddress, 'username' | 'password' | 'database'>) {
  return { ...(username === null ? {} : { username }), ...(password === null ? {} : { password }), db: database }
}

/** Limits the time of connections and commands, and cuts the client when the signal is aborted. */
export function superviseClient(redis: Redis, address: RedisAddress | null, signal: AbortSignal | undefined): void {
  if (address !== null) addresses.set(redis, address)
  setPatientTimeouts(redis)
  // every command reports the lost connection to its caller; without a listener the client would also print it
  redis.on('error', (error: Error & { command?: { name: string } }) => {
    // it would use database 0 in place of one that does not exist
    if (error.command?.name === 'select') cutStream(redis, error)
  })
  const stop = () => setTimeout(() => cutRedis(redis), stopMs).unref()
  signal?.addEventListener('abort', stop, { once: true })
  redis.on('end', () => signal?.removeEventListener('abort', stop))
  endWhileWaiting(redis)
}

/** The client library ends a client that waits for its next attempt without an event, for which others may listen. */
function endWhileWaiting(redis: Redis): void {
  const disconnect = redis.disconnect.bind(redis)
  redis.disconnect = (reconnect) => {
    const waits = redis.status === 'reconnecting' && reconnect !== true
    disconnect(reconnect)
    if (!waits) return
    redis['setStatus']('end')
    redis['flushQueue'](new Error('Connection is closed.'))
  }
}

/**
 * The options of TLS. The files are read for each connection, so replaced files count from the next one on.
 *
 * @throws LockstepError `CONFIG_INVALID`
 */
export function redisTls(files: TrustedFiles): ConnectionOptions {
  if (files.ca === null && files.client === null) return {}
  const read = () => createSecureContext(readTrusted(files, 'the URL of Redis'))
  let context = read()
  return {
    // asked by the client for each connection
    get secureContext() {
      try {
        context = read()
      } catch {
        // a certificate and its key are replaced one after the other; an error would end the client for good
      }
      return context
    },
  }
}

/**
 * Limits the time for connecting, and that of each command, by timers that a stall of the process does not end. Those
 * of the client end before it reads the answers that have arrived.
 *
 * A connection over which nothing at all arrives within that time is cut, so that the client connects again: if the
 * host was lost, the system would go on sending to it for a quarter of an hour.
 */
export function setPatientTimeouts(redis: Redis): void {
  let stop = (): void => undefined
  redis.on('connecting', () => {
    stop()
    stop = startPatientTimer(connectTimeoutMs, () => {
      const shakesHands = redis.stream instanceof TLSSocket && !redis.stream.connecting
      cutStream(redis, shakesHands ? new SilentHandshake() : new Error('connect ETIMEDOUT'))
    })
  })
  for (const event of ['connect', 'close', 'end']) redis.on(event, () => stop())
  const send = redis.sendCommand.bind(redis)
  // one function for all commands: see redis-mget-command.ts
  function limit(this: Command, ms: number): void {
    limitCommand(this, ms, cutIfSilent(redis))
  }
  redis.sendCommand = (command, stream) => {
    // called by the client, with the limit of its settings
    command.setTimeout = limit
    return send(command, stream)
  }
}

/** A command that is sent again keeps its limit. */
const limited = new WeakSet<Command>()

/** @returns cuts the present connection, unless something has arrived over it since */
function cutIfSilent(redis: Redis): () => void {
  const stream = streamOf(redis)
  const received = bytesReadOf(stream)
  return () => {
    if (stream !== undefined && streamOf(redis) === stream && bytesReadOf(stream) === received) cutStream(redis)
  }
}

function bytesReadOf(stream: Redis['stream'] | undefined): number {
  return stream instanceof Socket ? stream.bytesRead : 0
}

/**
 * Ends a command after `ms`, unless it has a limit already.
 *
 * @param onTimeout called then
 */
export function limitCommand(command: Command, ms: number, onTimeout: () => void = () => undefined): void {
  if (limited.has(command)) return
  limited.add(command)
  const stop = startPatientTimer(ms, () => {
    command.reject(new Error('Command timed out'))
    onTimeout()
  })
  command.promise.then(stop, stop)
}

/** Ends the connection for good, without a word from the server, on which `disconnect` alone may wait. */
export function cutRedis(redis: Redis): void {
  redis.disconnect()
  cutStream(redis)
}

/** Ends the connection that there is; unless it was ended, the client makes another one. */
export function cutStream(redis: Redis, reason?: Error): void {
  streamOf(redis)?.destroy(reason)
}

/** There is none before the first connection, whatever the type says. */
function streamOf(redis: Redis): Redis['stream'] | undefined {
  return redis.stream
}

/** Where a Redis is, and what is wrong with the way to it: what its commands fail with does not say. */
export interface RedisConnection {
  /** `host:port`, without user and password. */
  readonly server: string
  readonly kind: RedisKind
  /** Whether LOCKSTEP_REDIS_URL asks for TLS. */
  readonly tls: boolean
  /** How long a command waits for its answer, milliseconds; null: without end. */
  readonly answerMs: number | null
  /** What the connection failed with since it last worked. */
  trouble(): Error | null
  /** Whether a connection has ever worked. */
  worked(): boolean
}

export function watchRedis(redis: Redis): RedisConnection {
  const { tls, commandTimeout } = redis.options
  const address = addresses.get(redis)
  let trouble: Error | null = null
  let worked = false
  redis.on('error', (error) => (trouble = error))
  redis.on('ready', () => {
    trouble = null
    worked = true
  })
  return {
    server: address === undefined ? addressOf(redis.options) : redisServers(address),
    kind: address?.kind ?? 'single',
    tls: tls !== undefined,
    answerMs: commandTimeout ?? null,
    trouble: () => trouble,
    worked: () => worked,
  }
}
