import { createHash } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import { orTimeout, timedOut, withPatience } from '../runtime/async.ts'
import { cutCluster, watchCluster } from '../runtime/redis/redis-cluster.ts'
import { clusterKeys } from './redis-cluster-keys.ts'
import { coalesced } from './coalesce.ts'
import { compareAndSet } from './compare-and-set.ts'
import { keySlot, slots } from './key-slot.ts'
import { readInGroups } from './read-in-groups.ts'
import { redisError } from './redis-error.ts'
import type { RedisCommands, RedisWrite } from './redis-commands.ts'
import type { ServerGuard, ServerState } from './store.ts'
import { allSettled, chunksOf, keysPerTurn, quitGracefully, readGroups, scriptAnswer, scriptArguments } from './redis-commands.ts'

const script = createHash('sha1').update(compareAndSet).digest('hex')
/** How long a command waits for the connection to the cluster. */
const readyMs = 3_000
/** How long a node may take to answer a ping. */
const pingMs = 2_000
const closedMessage = 'Connection is closed.'
/** How long a replica may take before the primary is asked. */
const replicaMs = 250

interface SlotKey {
  readonly key: string
  readonly slot: number
}

/**
 * A Redis Cluster. Commands to one node are sent in one pipeline: an MGET for the keys of each slot (the views of an
 * entity share one), and the script for the entries of each slot. Slots are looked up in the client's slot map. If a
 * node refuses a command (it lost the slot, is down, or lacks the script), the client sends it once more itself,
 * command by command: it follows redirections and waits for a failover.
 */
export function redisCluster(cluster: Cluster): RedisCommands {
  const readers = new WeakMap<Redis, (keys: readonly SlotKey[]) => Promise<(Buffer | null)[]>>()
  const connection = watchCluster(cluster)
  const connected = waitUntilConnected(cluster)
  let nodes: Map<string, Redis> | null = null
  for (const event of ['+node', '-node', 'refresh']) cluster.on(event, () => (nodes = null))
  /** How often each node was connected, by its name. */
  const connects = new Map<string, number>()
  cluster.on('+node', (node: Redis) => node.on('ready', () => connects.set(nameOf(node), (connects.get(nameOf(node)) ?? 0) + 1)))

  function nodeAt(name: string | undefined): Redis | null {
    nodes ??= new Map(cluster.nodes().map((node) => [nameOf(node), node]))
    return name === undefined ? null : (nodes.get(name) ?? null)
  }

  /** The name of the node to read from; undefined where the slot has none. */
  function readFor(slot: number, replicas: boolean): string | undefined {
    const names = cluster.slots[slot]
    if (names === undefined || !replicas || names.length === 1) return names?.[0]
    return names[1 + Math.floor(Math.random() * (names.length - 1))]
  }

  /** null: no node is known, and the client finds one itself. */
  function primaryOf(slot: number): Redis | null {
    return nodeAt(readFor(slot, false))
  }

  /** What is asked of a node before its first connection is answered over that one. */
  function connectsOf(name: string): number {
    return connects.get(name) ?? 1
  }

  /** A part of a read, which one node answers. */
  function guarded<T>(through: ServerGuard | undefined, name: string | undefined, read: () => Promise<T>): Promise<T> {
    if (through === undefined || name === undefined) return read()
    const translated = () =>
      read().catch((cause: unknown) => {
        throw redisError(cause, connection)
      })
    return through(name, connectsOf(name), translated)
  }

  function readerOf(node: Redis): (keys: readonly SlotKey[]) => Promise<(Buffer | null)[]> {
    let reader = readers.get(node)
    if (reader === undefined)
      readers.set(node, (reader = coalesced((keys) => readInGroups(keys, (group) => readFrom(node, group)), keysPerTurn)))
    return reader
  }

  async function readFrom(node: Redis, keys: readonly SlotKey[]): Promise<(Buffer | null)[]> {
    const slots = [...groupBy(keys, ({ slot, key }, at) => [slot, { key, at }]).values()]
    const pipeline = node.pipeline()
    for (const slot of slots) pipeline.mgetBuffer(slot.map(({ key }) => key))
    const answers = await (node.options.readOnly === true ? atMost(replicaMs, pipeline.exec()) : pipeline.exec())
    const values = new Array<Buffer | null>(keys.length)
    await allSettled(
      slots.map(async (slot, i) => {
        const [error, read] = answers?.[i] ?? [null]
        const found: unknown[] = Array.isArray(read) ? read : await again(error, () => cluster.mgetBuffer(slot.map(({ key }) => key)))
        for (const [k, { at }] of slot.entries()) values[at] = asBytes(found[k])
      }),
    )
    return values
  }

  async function writeTo(node: Redis | null, chunks: readonly RedisWrite[][]): Promise<boolean[][]> {
    const pipeline = node?.pipeline()
    for (const chunk of chunks) pipeline?.evalsha(script, chunk.length, ...scriptArguments(chunk))
    const answers = await pipeline?.exec()
    return allSettled(
      chunks.map(async (chunk, i) => {
        const [error, stored] = answers?.[i] ?? [null]
        if (Array.isArray(stored)) return scriptAnswer(stored, chunk)
        return scriptAnswer(await again(error, () => cluster.eval(compareAndSet, chunk.length, ...scriptArguments(chunk))), chunk)
      }),
    )
  }

  /** A silent node is given up: the client must find its successor first. */
  function again<T>(error: Error | null, ask: () => Promise<T>): Promise<T> {
    if (error?.message !== 'Command timed out') return ask()
    cluster.refreshSlotsCache()
    throw error
  }

  async function primaries(): Promise<readonly Redis[]> {
    await connected()
    const names = [...new Set(cluster.slots.flatMap((owners) => owners.slice(0, 1)))]
    return names.map((name) => {
      const node = nodeAt(name)
      if (node !== null) return node
      cluster.refreshSlotsCache()
      throw new Error(`its node "${name}" is not connected`)
    })
  }

  async function presentPrimaries(): Promise<readonly Redis[]> {
    // the client's slot map may be some seconds old
    await connected()
    await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()))
    return await primaries()
  }

  return {
    connection,
    keys: (wanted) => clusterKeys(presentPrimaries, wanted, connection.server),
    primaries: presentPrimaries,

    async read(keys, replicas, through) {
      try {
        if (cluster.status !== 'ready') await connected()
        const groups = groupBy(keys, (key, at) => {
          const slot = keySlot(key)
          return [readFor(slot, replicas), { key, slot, at }]
        })
        const values = new Array<Buffer | null>(keys.length)
        const reads = [...groups].map(async ([name, group]) => {
          const found = await guarded(through, name, () => {
            const node = nodeAt(name)
            return node === null ? allSettled(group.map(({ key }) => cluster.getBuffer(key))) : readerOf(node)(group)
          })
          for (const [i, { at }] of group.entries()) values[at] = found[i] ?? null
        })
        await allSettled(reads)
        return values
      } catch (cause) {
        throw redisError(cause, connection)
      }
    },

    async readSurely(keys, through) {
      if (cluster.status !== 'ready') await connected()
      const bySlot = groupBy(keys, (key, at) => [keySlot(key), { key, at }])
      const byNode = groupBy([...bySlot], ([slot, group]) => [readFor(slot, false), group])
      const values = new Array<Buffer | null>(keys.length)
      const reads = [...byNode].map(async ([name, groups]) => {
        const names = groups.map((group) => group.map(({ key }) => key))
        const found = await guarded(through, name, () =>
          readGroups(nodeAt(name), names, (key, error) => again(error, () => cluster.getBuffer(key))),
        )
        for (const [i, group] of groups.entries()) for (const [k, { at }] of group.entries()) values[at] = found[i]?.[k] ?? null
      })
      await allSettled(reads)
      return values
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

    sameConnection(key) {
      const slot = keySlot(key)
      const nameNow = (): string => readFor(slot, false) ?? ''
      const name = nameNow()
      const count = connectsOf(name)
      return () => nameNow() === name && connectsOf(name) === count
    },

    async compareAndSet(entries) {
      if (cluster.status !== 'ready') await connected()
      const bySlot = groupBy(entries, (entry, at) => [keySlot(entry.key), { ...entry, at }])
      const byNode = groupBy([...bySlot], ([slot, group]) => [primaryOf(slot), group])
      const stored = new Array<boolean>(entries.length)
      await allSettled(
        [...byNode].map(async ([node, groups]) => {
          const answers = (await writeTo(node, groups.flatMap(chunksOf))).flat()
          for (const [i, { at }] of groups.flat().entries()) stored[at] = answers[i] ?? false
        }),
      )
      return stored
    },

    async get(key) {
      await connected()
      return cluster.get(key)
    },
    async setIfAbsent(key, value) {
      await connected()
      await cluster.set(key, value, 'NX')
    },

    async unlink(node, keys) {
      const groups = [...groupBy(keys, (key) => [keySlot(key), key]).values()]
      const pipeline = node.pipeline()
      for (const group of groups) pipeline.unlink(...group)
      const answers = await pipeline.exec()
      const counts = groups.map(async (group, i) => {
        const [error, count] = answers?.[i] ?? [null]
        return typeof count === 'number' ? count : again(error, () => cluster.unlink(...group))
      })
      return (await allSettled(counts)).reduce((sum, count) => sum + count, 0)
    },

    /** Reads a key of each primary: a cluster that is down still answers PING. */
    async ping(keyOf) {
      await connected()
      const slotOf = new Map<string, number>()
      for (const [slot, names] of cluster.slots.entries()) if (names?.[0] !== undefined) slotOf.set(names[0], slot)
      const failures = await Promise.all([...slotOf].map(([name, slot]) => failureOf(nodeAt(name), keyOf(slot))))
      // the slot map may be old
      if (failures.some((failure) => failure !== null)) cluster.refreshSlotsCache()
      if (failures.every((failure) => failure !== null)) throw failures[0] ?? new Error('No slot has a server.')
      const primaryStates = [...slotOf.keys()].map((server, i): ServerState => ({ server, answers: failures[i] === null }))
      const others = [...new Set(cluster.slots.flat())].filter((name) => !slotOf.has(name))
      return [...primaryStates, ...others.map((server): ServerState => ({ server, answers: null }))]
    },

    async close() {
      if (cluster.status === 'end') return
      if (cluster.status === 'ready') await quitGracefully(cluster.quit())
      cutCluster(cluster)
    },
  }
}

/** As the client's slot map names it. */
function nameOf({ options: { host, port } }: Redis): string {
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

function asBytes(value: unknown): Buffer | null {
  return value instanceof Buffer ? value : null
}

function groupBy<T, Group, Kept>(all: readonly T[], place: (each: T, at: number) => readonly [Group, Kept]): Map<Group, Kept[]> {
  const groups = new Map<Group, Kept[]>()
  for (const [at, each] of all.entries()) {
    const [group, kept] = place(each, at)
    const present = groups.get(group)
    if (present === undefined) groups.set(group, [kept])
    else present.push(kept)
  }
  return groups
}

async function atMost<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const result = await orTimeout(work, ms)
  return result === timedOut ? null : result
}

/**
 * Waits until the client knows the cluster's nodes, for one attempt. All callers share one wait.
 *
 * @throws the client's "Connection is closed." where the attempt fails
 */
function waitUntilConnected(cluster: Cluster): () => Promise<void> {
  let waiting: Promise<void> | null = null

  async function wait(): Promise<void> {
    let settle: () => void = () => undefined
    const settled = new Promise<void>((resolve) => {
      settle = resolve
      cluster.once('ready', settle)
      cluster.once('error', settle)
    })
    await withPatience(settled, readyMs, () => new Error(closedMessage)).catch(() => undefined)
    cluster.off('ready', settle)
    cluster.off('error', settle)
    if (cluster.status !== 'ready') throw new Error(closedMessage)
  }

  return async () => {
    if (cluster.status === 'ready') return
    if (cluster.status === 'end') throw new Error(closedMessage)
    waiting ??= wait().finally(() => (waiting = null))
    await waiting
  }
}
