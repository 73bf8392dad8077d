import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import { commandTimeoutMs, connectTimeoutMs, maxReconnectDelayMs, stopMs, cutRedis } from './redis.ts'
import type { RedisConnection } from './redis.ts'
import { redisServers } from './redis-url.ts'
import type { RedisAddress } from './redis-url.ts'

/**
 * The client sends a command that a lost or failing node refused again after a tenth of a second; for so long as a
 * command may take.
 */
const retryMs = 100
const refreshMs = 5_000

/** What messages call it: the client does not tell where it began. */
const servers = new WeakMap<Cluster, string>()

/** Connects to a Redis Cluster as `openRedis` does to one Redis: in the background, and again whenever it is lost. */
export function openRedisCluster(address: RedisAddress, options: { readonly signal?: AbortSignal | undefined } = {}): Cluster {
  const { username, password, tls } = address
  const cluster = new Cluster([...address.nodes], {
    clusterRetryStrategy: (attempt) => Math.min(attempt * 50, maxReconnectDelayMs),
    maxRedirections: commandTimeoutMs / retryMs,
    retryDelayOnFailover: retryMs,
    retryDelayOnClusterDown: retryMs,
    // A node that fell silent is replaced without its connections being closed, and one that came back is not seen
    // otherwise.
    slotsRefreshInterval: refreshMs,
    // certificates are made out for names, which a look-up of their own would lose
    ...(tls ? { dnsLookup: (host, done) => done(null, host) } : {}),
    redisOptions: {
      connectTimeout: connectTimeoutMs,
      commandTimeout: commandTimeoutMs,
      ...(username === null ? {} : { username }),
      ...(password === null ? {} : { password }),
      ...(tls ? { tls: {} } : {}),
    },
  })
  servers.set(cluster, redisServers(address))
  cluster.on('error', () => undefined)
  const stop = () => setTimeout(() => cutCluster(cluster), stopMs).unref()
  options.signal?.addEventListener('abort', stop, { once: true })
  cluster.on('end', () => options.signal?.removeEventListener('abort', stop))
  return cluster
}

/** Ends all connections for good, without a word from the servers. */
export function cutCluster(cluster: Cluster): void {
  const nodes: Redis[] = cluster.nodes()
  cluster.disconnect()
  for (const node of nodes) cutRedis(node)
}

export function watchCluster(cluster: Cluster): RedisConnection {
  let trouble: Error | null = null
  // What a node fails with says more than that its connection is gone.
  const note = (error: Error): void => {
    if (trouble === null || !/^(Connection is closed|Failed to refresh)/.test(error.message)) trouble = error
  }
  cluster.on('error', note)
  cluster.on('node error', note)
  cluster.on('ready', () => (trouble = null))
  return { server: servers.get(cluster) ?? 'a cluster', cluster: true, answerMs: commandTimeoutMs, trouble: () => trouble }
}
