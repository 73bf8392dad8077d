import { createHash } from 'node:crypto'
import type { ChainableCommander, Cluster, Redis } from 'ioredis'
import { orTimeout, timedOut } from '../runtime/async.ts'
import { coalesced } from './coalesce.ts'
import { compareAndSet } from './compare-and-set.ts'
import { groupBy, inOrder } from './item-groups.ts'
import { keySlot } from './key-slot.ts'
import { readInGroups } from './read-in-groups.ts'
import type { ClusterNodes } from './redis-cluster-nodes.ts'
import type { RedisWrite } from './redis-commands.ts'
import { allSettled, chunksOf, keysPerTurn, readGroups, scriptAnswer, scriptArguments } from './redis-commands.ts'

const script = createHash('sha1').update(compareAndSet).digest('hex')
/** How long a replica may take before the primary is asked. */
const replicaMs = 250

type Values = (Buffer | null)[]

export interface SlotKey {
  readonly key: string
  readonly slot: number
}

/**
 * Commands for keys of one node of a cluster, null if no node is known. The node gets one pipeline: an MGET for the
 * keys of each slot (the views of an entity share one), and the script for the entries of each slot. If it refuses a
 * command (it lost the slot, is down, or lacks the script), the client sends it once more itself: it follows
 * redirections and waits for a failover.
 */
export interface NodeCommands {
  /** Keys that are requested of a node in one turn of the event loop are sent together. */
  read(node: Redis | null, keys: readonly SlotKey[]): Promise<Values>
  readSurely(node: Redis | null, keys: readonly SlotKey[]): Promise<Values>
  compareAndSet(node: Redis | null, entries: readonly (RedisWrite & SlotKey)[]): Promise<boolean[]>
  unlink(node: Redis, keys: readonly string[]): Promise<number>
}

export function createNodeCommands(cluster: Cluster, again: ClusterNodes['again']): NodeCommands {
  const readers = new WeakMap<Redis, (keys: readonly SlotKey[]) => Promise<Values>>()

  /**
   * The answers to one command for each group, in one pipeline.
   *
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
        return answer === undefined ? await again(error, () => send(group)) : (answer as Answer)
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

  async function readSurely(node: Redis | null, keys: readonly SlotKey[]): Promise<Values> {
    const bySlot = groupBy(keys, ({ slot }) => slot)
    const names = bySlot.map(({ items }) => items.map(({ key }) => key))
    return inOrder(bySlot, await readGroups(node, names, (key, error) => again(error, () => cluster.getBuffer(key))))
  }

  async function write(node: Redis | null, entries: readonly (RedisWrite & SlotKey)[]): Promise<boolean[]> {
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

  function readerOf(node: Redis): (keys: readonly SlotKey[]) => Promise<Values> {
    let reader = readers.get(node)
    if (reader === undefined)
      readers.set(node, (reader = coalesced((keys) => readInGroups(keys, (group) => readFrom(node, group)), keysPerTurn)))
    return reader
  }

  return {
    read: (node, keys) => (node === null ? allSettled(keys.map(({ key }) => cluster.getBuffer(key))) : readerOf(node)(keys)),
    readSurely,
    compareAndSet: write,
    async unlink(node, keys) {
      const counts = await pipelined(
        node,
        groupBy(keys, keySlot),
        (pipeline, { items }) => pipeline.unlink(...items),
        ({ items }) => cluster.unlink(...items),
      )
      return counts.reduce((sum, count) => sum + count, 0)
    },
  }
}
