import type { Cluster, Redis } from 'ioredis'
import { withPatience } from '../runtime/async.ts'
import { cacheFor } from '../runtime/cache-for.ts'
import { slots } from './key-slot.ts'
import type { ServerState } from './store.ts'

/** How long a command waits for the connection to the cluster. */
const readyMs = 3_000
/** How long a node may take to answer a ping. */
const pingMs = 2_000
const closedMessage = 'Connection is closed.'

/** The nodes of a Redis Cluster. A server is the name of a node, `HOST:PORT`, as in the client's slot map. */
export interface ClusterNodes {
  /**
   * Waits until the client knows the nodes, for one attempt.
   *
   * @throws the client's "Connection is closed." where the attempt fails
   */
  connected(): Promise<void>
  /** The primary of a slot, or with `replicas` any replica that it has. undefined: the slot has no server. */
  serverOf(slot: number, replicas?: boolean): string | undefined
  /** null: the client has no connection to the server. */
  nodeOf(server: string | undefined): Redis | null
  /** How often the server was connected. Commands from before its first connection are sent over that one. */
  connectsOf(server: string): number
  /** The primaries of the present slot map, which is read again: that of the client may be some seconds old. */
  primaries(): Promise<readonly Redis[]>
  /** As `someSlots` of `RedisCommands`. */
  someSlots(): Promise<readonly number[]>
  /** As `ping` of `RedisCommands`. It reads a key of each primary: a cluster that is down still answers PING. */
  ping(keyOf: (slot: number) => string): Promise<readonly ServerState[]>
  /**
   * Sends a command that a node refused once more. A silent node is given up: the client must find its successor first.
   *
   * @param error why it was refused; null: the node did not get it
   * @param send sends it by the client, which follows redirections and waits for a failover
   */
  again<T>(error: Error | null, send: () => Promise<T>): Promise<T>
}

export function watchNodes(cluster: Cluster): ClusterNodes {
  const connected = waitUntilConnected(cluster)
  let known: Map<string, Redis> | null = null
  for (const event of ['+node', '-node', 'refresh']) cluster.on(event, () => (known = null))
  const connects = new Map<string, number>()
  cluster.on('+node', (node: Redis) => node.on('ready', () => connects.set(serverName(node), (connects.get(serverName(node)) ?? 0) + 1)))

  function nodeOf(server: string | undefined): Redis | null {
    known ??= new Map(cluster.nodes().map((node) => [serverName(node), node]))
    return server === undefined ? null : (known.get(server) ?? null)
  }

  return {
    connected,
    nodeOf,

    serverOf(slot, replicas = false) {
      const servers = cluster.slots[slot]
      if (servers === undefined || !replicas || servers.length === 1) return servers?.[0]
      return servers[1 + Math.floor(Math.random() * (servers.length - 1))]
    },

    connectsOf: (server) => connects.get(server) ?? 1,

    async primaries() {
      await connected()
      await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()))
      await connected()
      return [...new Set(cluster.slots.flatMap((servers) => servers.slice(0, 1)))].map((server) => {
        const node = nodeOf(server)
        if (node !== null) return node
        cluster.refreshSlotsCache()
        throw new Error(`its node "${server}" is not connected`)
      })
    },

    async someSlots() {
      await connected()
      const some: number[] = []
      for (let from = 0, to = 1; from < slots; from = to++) {
        while (to < slots && cluster.slots[to]?.[0] === cluster.slots[from]?.[0]) to++
        some.push(from, from + Math.floor(Math.random() * (to - from)), to - 1)
      }
      return [...new Set(some)]
    },

    async ping(keyOf) {
      await connected()
      const slotOf = new Map<string, number>()
      for (const [slot, servers] of cluster.slots.entries()) if (servers?.[0] !== undefined) slotOf.set(servers[0], slot)
      const failures = await Promise.all([...slotOf].map(([server, slot]) => failureOf(nodeOf(server), keyOf(slot))))
      // the slot map may be old
      if (failures.some((failure) => failure !== null)) cluster.refreshSlotsCache()
      if (failures.every((failure) => failure !== null)) throw failures[0] ?? new Error('No slot has a server.')
      const primaryStates = [...slotOf.keys()].map((server, i): ServerState => ({ server, answers: answersOf(failures[i] ?? null) }))
      const others = [...new Set(cluster.slots.flat())].filter((server) => !slotOf.has(server))
      return [...primaryStates, ...others.map((server): ServerState => ({ server, answers: null }))]
    },

    again(error, send) {
      if (error?.message !== 'Command timed out') return send()
      cluster.refreshSlotsCache()
      throw error
    },
  }
}

/** As the client's slot map names it. */
function serverName({ options: { host, port } }: Redis): string {
  return `${host}:${port}`
}

/** Why a node cannot be read; null: it can. */
async function failureOf(node: Redis | null, key: string): Promise<Error | null> {
  try {
    if (node === null) return new Error(closedMessage)
    await withPatience(node.getBuffer(key), pingMs, () => new Error(`it did not answer within ${pingMs / 1000} s`))
    return null
  } catch (error) {
    // it answers for other slots, and the client learns of it
    return /^(MOVED|ASK) /.test((error as Error).message) ? null : (error as Error)
  }
}

/** null: the node answers, and refuses to read because another one is down. */
function answersOf(failure: Error | null): boolean | null {
  return failure?.message.startsWith('CLUSTERDOWN ') === true ? null : failure === null
}

/** All callers share one wait. */
function waitUntilConnected(cluster: Cluster): () => Promise<void> {
  const wait = cacheFor(0, async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    cluster.once('ready', resolve).once('error', resolve)
    await withPatience(promise, readyMs, () => new Error(closedMessage)).catch(() => undefined)
    cluster.off('ready', resolve).off('error', resolve)
    if (cluster.status !== 'ready') throw new Error(closedMessage)
  })

  return async () => {
    if (cluster.status === 'ready') return
    if (cluster.status === 'end') throw new Error(closedMessage)
    await wait()
  }
}
