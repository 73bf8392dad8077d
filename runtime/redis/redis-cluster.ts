import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import {
  commandTimeoutMs,
  cutRedis,
  limitCommand,
  maxReconnectDelayMs,
  noConnectTimeout,
  redisTls,
  setPatientTimeouts,
  stopMs,
} from './redis.ts'
import type { RedisConnection } from './redis.ts'
import { redisServers } from './redis-url.ts'
import type { RedisAddress } from './redis-url.ts'

/**
 * The delay before the client repeats a command that a lost or failing node refused, up to the command's time limit.
 */
const retryMs = 100
const defaultRefreshMs = 5_000

/** The addresses of clusters for messages, because the client does not expose its start nodes. */
const addresses = new WeakMap<Cluster, RedisAddress>()

export interface ClusterOptions {
  /** Once it is aborted, commands get a second more; then the connections are cut. */
  readonly signal?: AbortSignal | undefined
  /** How often the slot map is read again. Default: every 5 s. */
  readonly refreshMs?: number
}

/**
 * Connects to a Redis Cluster as `openRedis` does to a single Redis: in the background, and again after each loss.
 *
 * @throws LockstepError `CONFIG_INVALID` where a file of its certificates cannot be used
 */
export function openRedisCluster(address: RedisAddress, options: ClusterOptions = {}): Cluster {
  const { username, password, tls } = address
  const cluster = new Cluster([...address.nodes], {
    clusterRetryStrategy: (attempt) => Math.min(attempt * 50, maxReconnectDelayMs),
    maxRedirections: commandTimeoutMs / retryMs,
    retryDelayOnFailover: retryMs,
    retryDelayOnClusterDown: retryMs,
    // certificates contain host names, which the client's own look-up would replace by addresses
    ...(tls ? { dnsLookup: (host, done) => done(null, host) } : {}),
    redisOptions: {
      connectTimeout: noConnectTimeout,
      commandTimeout: commandTimeoutMs,
      ...(username === null ? {} : { username }),
      ...(password === null ? {} : { password }),
      ...(tls ? { tls: redisTls(address) } : {}),
    },
  })
  cluster.on('+node', setPatientTimeouts)
  limitCommands(cluster)
  watchSlots(cluster, options.refreshMs ?? defaultRefreshMs)
  addresses.set(cluster, address)
  cluster.on('error', () => undefined)
  const stop = () => setTimeout(() => cutCluster(cluster), stopMs).unref()
  options.signal?.addEventListener('abort', stop, { once: true })
  cluster.on('end', () => options.signal?.removeEventListener('abort', stop))
  return cluster
}

/** The client would keep a command without end while no node can be used. */
function limitCommands(cluster: Cluster): void {
  const send = cluster.sendCommand.bind(cluster)
  cluster.sendCommand = (command, ...more) => {
    // it timed out while the client kept it
    if (command.isSettled) return command.promise
    limitCommand(command, commandTimeoutMs)
    return send(command, ...more)
  }
}

/**
 * Reads the slot map again, until the client is closed. A silent node can be replaced while its connections stay open:
 * without this the client notices neither that nor a node that came back. The client has such an interval, too
 * (`slotsRefreshInterval`). If it is closed during a refresh, that one continues, and its process never ends.
 *
 * The client also stays closed if the last connection ends while it resolves host names for the next attempt. Then it
 * is connected again here.
 */
function watchSlots(cluster: Cluster, refreshMs: number): void {
  const timer = setInterval(() => {
    if (cluster['manuallyClosing'] || cluster.status === 'end') clearInterval(timer)
    else if (cluster.status === 'ready') cluster.refreshSlotsCache()
    else if (cluster.status === 'close') cluster.connect().catch(() => undefined)
  }, refreshMs)
  timer.unref()
}

/** Closes all connections for good, without waiting for the servers. */
export function cutCluster(cluster: Cluster): void {
  const nodes: Redis[] = cluster.nodes()
  cluster.disconnect()
  for (const node of nodes) cutRedis(node)
}

export function watchCluster(cluster: Cluster): RedisConnection {
  let trouble: Error | null = null
  let worked = false
  // The error of a node says more than the loss of its connection.
  const note = (error: Error): void => {
    if (trouble === null || !/^(Connection is closed|Failed to refresh)/.test(error.message)) trouble = error
  }
  cluster.on('error', note)
  cluster.on('node error', note)
  cluster.on('ready', () => {
    trouble = null
    worked = true
  })
  const address = addresses.get(cluster)
  const server = address === undefined ? 'a cluster' : redisServers(address)
  const tls = address?.tls === true
  return { server, kind: 'cluster', tls, answerMs: commandTimeoutMs, trouble: () => trouble, worked: () => worked }
}
