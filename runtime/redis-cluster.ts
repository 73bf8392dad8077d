import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import { commandTimeoutMs, cutRedis, maxReconnectDelayMs, noConnectTimeout, setPatientTimeouts, stopMs } from './redis.ts'
import type { RedisConnection } from './redis.ts'
import { redisServers } from './redis-url.ts'
import type { RedisAddress } from './redis-url.ts'

/**
 * The delay before the client repeats a command that a lost or failing node refused, up to the command's time limit.
 */
const retryMs = 100
const refreshMs = 5_000

/** The addresses of clusters for messages, because the client does not expose its start nodes. */
const addresses = new WeakMap<Cluster, RedisAddress>()

/** Connects to a Redis Cluster as `openRedis` does to a single Redis: in the background, and again after each loss. */
export function openRedisCluster(address: RedisAddress, options: { readonly signal?: AbortSignal | undefined } = {}): Cluster {
  const { username, password, tls } = address
  const cluster = new Cluster([...address.nodes], {
    clusterRetryStrategy: (attempt) => Math.min(attempt * 50, maxReconnectDelayMs),
    maxRedirections: commandTimeoutMs / retryMs,
    retryDelayOnFailover: retryMs,
    retryDelayOnClusterDown: retryMs,
    // A silent node can be replaced while its connections stay open. Without this refresh the client notices neither
    // that nor a node that came back.
    slotsRefreshInterval: refreshMs,
    // certificates contain host names, which the client's own look-up would replace by addresses
    ...(tls ? { dnsLookup: (host, done) => done(null, host) } : {}),
    redisOptions: {
      connectTimeout: noConnectTimeout,
      commandTimeout: commandTimeoutMs,
      ...(username === null ? {} : { username }),
      ...(password === null ? {} : { password }),
      ...(tls ? { tls: {} } : {}),
    },
  })
  cluster.on('+node', setPatientTimeouts)
  addresses.set(cluster, address)
  cluster.on('error', () => undefined)
  const stop = () => setTimeout(() => cutCluster(cluster), stopMs).unref()
  options.signal?.addEventListener('abort', stop, { once: true })
  cluster.on('end', () => options.signal?.removeEventListener('abort', stop))
  return cluster
}

/** Closes all connections for good, without waiting for the servers. */
export function cutCluster(cluster: Cluster): void {
  const nodes: Redis[] = cluster.nodes()
  cluster.disconnect()
  for (const node of nodes) cutRedis(node)
}

export function watchCluster(cluster: Cluster): RedisConnection {
  let trouble: Error | null = null
  // The error of a node says more than the loss of its connection.
  const note = (error: Error): void => {
    if (trouble === null || !/^(Connection is closed|Failed to refresh)/.test(error.message)) trouble = error
  }
  cluster.on('error', note)
  cluster.on('node error', note)
  cluster.on('ready', () => (trouble = null))
  const address = addresses.get(cluster)
  const server = address === undefined ? 'a cluster' : redisServers(address)
  return { server, cluster: true, tls: address?.tls === true, answerMs: commandTimeoutMs, trouble: () => trouble }
}
