import type { Cluster } from 'ioredis'
import { cutCluster, watchCluster } from '../runtime/redis/redis-cluster.ts'
import { groupBy, inOrder } from './item-groups.ts'
import { keySlot } from './key-slot.ts'
import { clusterKeys } from './redis-cluster-keys.ts'
import { watchNodes } from './redis-cluster-nodes.ts'
import type { RedisCommands } from './redis-commands.ts'
import { allSettled, quitGracefully } from './redis-commands.ts'
import { redisError } from './redis-error.ts'
import type { SlotKey } from './redis-node-commands.ts'
import { createNodeCommands } from './redis-node-commands.ts'
import type { ServerGuard } from './store.ts'

type Values = (Buffer | null)[]

/** A Redis Cluster. Keys are grouped by the node that the client's slot map names. */
export function redisCluster(cluster: Cluster): RedisCommands {
  const connection = watchCluster(cluster)
  const nodes = watchNodes(cluster)
  const commands = createNodeCommands(cluster, nodes.again)

  /** The answers for the keys of each server, by index of all keys. A slot may have no server. */
  async function byServer<Key extends SlotKey, Answer>(
    keys: readonly Key[],
    replicas: boolean,
    run: (server: string | undefined, keys: readonly Key[]) => Promise<readonly Answer[]>,
  ): Promise<Answer[]> {
    const groups = groupBy(keys, ({ slot }) => nodes.serverOf(slot, replicas))
    return inOrder(groups, await allSettled(groups.map(({ of, items }) => run(of, items))))
  }

  /** Runs the part of a read that one node answers. */
  async function guarded(through: ServerGuard | undefined, server: string | undefined, read: () => Promise<Values>): Promise<Values> {
    if (through === undefined || server === undefined) return await read()
    return await through(server, nodes.connectsOf(server), () =>
      read().catch((cause: unknown) => {
        throw redisError(cause, connection)
      }),
    )
  }

  return {
    connection,
    keys: (wanted) => clusterKeys(nodes.primaries, wanted, connection.server),
    primaries: nodes.primaries,
    someSlots: nodes.someSlots,
    ping: nodes.ping,
    unlink: commands.unlink,

    async read(keys, replicas, through) {
      try {
        if (cluster.status !== 'ready') await nodes.connected()
        return await byServer(keys.map(withSlot), replicas, (server, own) =>
          guarded(through, server, () => commands.read(nodes.nodeOf(server), own)),
        )
      } catch (cause) {
        throw redisError(cause, connection)
      }
    },

    async readSurely(keys, through) {
      await nodes.connected()
      return await byServer(keys.map(withSlot), false, (server, own) =>
        guarded(through, server, () => commands.readSurely(nodes.nodeOf(server), own)),
      )
    },

    async compareAndSet(entries) {
      await nodes.connected()
      const located = entries.map((entry) => ({ ...entry, slot: keySlot(entry.key) }))
      return await byServer(located, false, (server, own) => commands.compareAndSet(nodes.nodeOf(server), own))
    },

    sameConnection(key) {
      const slot = keySlot(key)
      const serverNow = (): string => nodes.serverOf(slot) ?? ''
      const server = serverNow()
      const count = nodes.connectsOf(server)
      return () => serverNow() === server && nodes.connectsOf(server) === count
    },

    async get(key) {
      await nodes.connected()
      return cluster.get(key)
    },
    async setIfAbsent(key, value) {
      await nodes.connected()
      await cluster.set(key, value, 'NX')
    },

    async close() {
      if (cluster.status === 'end') return
      if (cluster.status === 'ready') await quitGracefully(cluster.quit())
      cutCluster(cluster)
    },
  }
}

function withSlot(key: string): SlotKey {
  return { key, slot: keySlot(key) }
}
