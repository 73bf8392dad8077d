import { createHash } from 'node:crypto'
import type { ChainableCommander, Cluster, Redis } from 'ioredis'
import { orTimeout, timedOut } from '../runtime/async.ts'
import { cutCluster, watchCluster } from '../runtime/redis/redis-cluster.ts'
import { clusterKeys } from './redis-cluster-keys.ts'
import { watchNodes } from './redis-cluster-nodes.ts'
import { coalesced } from './coalesce.ts'
import { compareAndSet } from './compare-and-set.ts'
import { keySlot } from './key-slot.ts'
import { readInGroups } from './read-in-groups.ts'
import { redisError } from './redis-error.ts'
import type { RedisCommands, RedisWrite } from './redis-commands.ts'
import type { ServerGuard } from './store.ts'
import { allSettled, chunksOf, keysPerTurn, quitGracefully, readGroups, scriptAnswer, scriptArguments } from './redis-commands.ts'

const script = createHash('sha1').update(compareAndSet).digest('hex')
/** How long a replica may take before the primary is asked. */
const replicaMs = 250

type Values = (Buffer | null)[]

interface SlotKey {
  readonly key: string
  readonly slot: number
}

/**
 * A Redis Cluster. Keys are grouped by the node that the client's slot map names, and then by slot. Each node gets one
 * pipeline: an MGET for the keys of each slot (the views of an entity share one), and the script for the entries of
 * each slot. If a node refuses a command (it lost the slot, is down, or lacks the script), the client sends it once
 * more itself: it follows redirections and waits for a failover.
 */
export function redisCluster(cluster: Cluster): RedisCommands {
  const connection = watchCluster(cluster)
  const nodes = watchNodes(cluster)
  const readers = new WeakMap<Redis, (keys: readonly SlotKey[]) => Promise<Values>>()

  /**
   * The answers to one command for each group, in one pipeline.
   *
   * @param node null: no node is known, and the client finds one itself
   * @param queue adds the command to the pipeline
   * @param send sends the same command by the client
   * @param limitMs how long the node may take
   */
  async function pipelined<Group, Answer>(
    node: Redis | null,
    groups: readonly Group[],
    queue: (pipeline: ChainableCommander, group: Group) => unknown,
    send: (group: Group) => Promise<Answer>,
    limitMs?: number,
  ): Promise<Answer[]> {
    const pipeline = node?.pipeline()
    if (pipeline !== undefined) for (const group of groups) queue(pipeline, group)
    const sent = pipeline?.exec() ?? Promise.resolve(null)
    const answers = await (limitMs === undefined ? sent : orTimeout(sent, limitMs))
    return await allSettled(
      groups.map(async (group, i) => {
        const [error, answer] = (answers === timedOut ? null : answers?.[i]) ?? [null]
        return answer === undefined ? await nodes.again(error, () => send(group)) : (answer as Answer)
      }),
    )
  }

  async function readFrom(node: Redis, keys: readonly SlotKey[]): Promise<Values> {
    const bySlot = groupBy(keys, ({ slot }) => slot)
    const found = await pipelined(
      node,
      bySlot,
      (pipeline, { items }) => pipeline.mgetBuffer(items.map(({ key }) => key)),
      ({ items }) => cluster.mgetBuffer(items.map(({ key }) => key)),
      node.options.readOnly === true ? replicaMs : undefined,
    )
    return inOrder(bySlot, found)
  }

  async function readSurelyFrom(node: Redis | null, keys: readonly SlotKey[]): Promise<Values> {
    const bySlot = groupBy(keys, ({ slot }) => slot)
    const names = bySlot.map(({ items }) => items.map(({ key }) => key))
    return inOrder(bySlot, await readGroups(node, names, (key, error) => nodes.again(error, () => cluster.getBuffer(key))))
  }

  async function writeTo(node: Redis | null, entries: readonly (RedisWrite & SlotKey)[]): Promise<boolean[]> {
    const bySlot = groupBy(entries, ({ slot }) => slot)
    const chunks = bySlot.flatMap(({ items }) => chunksOf(items))
    const answers = await pipelined(
      node,
      chunks,
      (pipeline, chunk) => pipeline.evalsha(script, chunk.length, ...scriptArguments(chunk)),
      (chunk) => cluster.eval(compareAndSet, chunk.length, ...scriptArguments(chunk)),
    )
    const stored = chunks.map((chunk, i) => scriptAnswer(answers[i], chunk))
    return inOrder(bySlot, stored)
  }

  /** Keys that are requested of a node in one turn of the event loop are sent together. */
  function readerOf(node: Redis): (keys: readonly SlotKey[]) => Promise<Values> {
    let reader = readers.get(node)
    if (reader === undefined)
      readers.set(node, (reader = coalesced((keys) => readInGroups(keys, (group) => readFrom(node, group)), keysPerTurn)))
    return reader
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

    async read(keys, replicas, through) {
      try {
        if (cluster.status !== 'ready') await nodes.connected()
        const byNode = groupBy(keys.map(withSlot), ({ slot }) => nodes.serverOf(slot, replicas))
        const reads = byNode.map(({ of: server, items }) =>
          guarded(through, server, () => {
            const node = nodes.nodeOf(server)
            return node === null ? allSettled(items.map(({ key }) => cluster.getBuffer(key))) : readerOf(node)(items)
          }),
        )
        return inOrder(byNode, await allSettled(reads))
      } catch (cause) {
        throw redisError(cause, connection)
      }
    },

    async readSurely(keys, through) {
      await nodes.connected()
      const byNode = groupBy(keys.map(withSlot), ({ slot }) => nodes.serverOf(slot))
      const reads = byNode.map(({ of: server, items }) => guarded(through, server, () => readSurelyFrom(nodes.nodeOf(server), items)))
      return inOrder(byNode, await allSettled(reads))
    },

    async compareAndSet(entries) {
      await nodes.connected()
      const located = entries.map((entry) => ({ ...entry, slot: keySlot(entry.key) }))
      const byNode = groupBy(located, ({ slot }) => nodes.serverOf(slot))
      return inOrder(byNode, await allSettled(byNode.map(({ of: server, items }) => writeTo(nodes.nodeOf(server), items))))
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

    async unlink(node, keys) {
      const counts = await pipelined(
        node,
        groupBy(keys, keySlot),
        (pipeline, { items }) => pipeline.unlink(...items),
        ({ items }) => cluster.unlink(...items),
      )
      return counts.reduce((sum, count) => sum + count, 0)
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

interface Group<T, Of> {
  readonly of: Of
  readonly items: T[]
  /** The index of each item among all. */
  readonly at: number[]
}

function groupBy<T, Of>(all: readonly T[], groupOf: (item: T) => Of): Group<T, Of>[] {
  const groups = new Map<Of, Group<T, Of>>()
  for (const [i, item] of all.entries()) {
    const of = groupOf(item)
    let group = groups.get(of)
    if (group === undefined) groups.set(of, (group = { of, items: [], at: [] }))
    group.items.push(item)
    group.at.push(i)
  }
  return [...groups.values()]
}

/** Undoes `groupBy`: by index of all items, the answers that are in the order of the groups. */
function inOrder<T>(groups: readonly Group<unknown, unknown>[], answers: readonly (readonly T[])[]): T[] {
  const at = groups.flatMap((group) => group.at)
  const values = new Array<T>(at.length)
  let next = 0
  for (const answer of answers) for (const value of answer) values[at[next++] as number] = value
  return values
}
