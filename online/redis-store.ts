import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { ReplyError } from 'ioredis'
import type { Redis } from 'ioredis'
import { LockstepError } from '../kernel/errors.ts'
import type { RedisReads } from '../runtime/config.ts'
import { redisCluster } from './redis-cluster.ts'
import { keySlot, slots } from './key-slot.ts'
import type { RedisCommands } from './redis-commands.ts'
import { keysPerScan } from './redis-commands.ts'
import { redisError } from './redis-error.ts'
import { redisKey, redisPattern, stateKeys } from './redis-key.ts'
import { isReplica, readMemory } from './redis-memory.ts'
import { readSizes } from './redis-sizes.ts'
import { singleRedis } from './redis-single.ts'
import { slotMark } from './slot-mark.ts'
import type { OnlineKey, OnlineStore, ServerGuard, StoreParts } from './store.ts'

/** The nodes of a cluster learn of a failover within moments. */
const triesForPrimaries = 20
const pauseMs = 50
/** A divisor of how many there are. */
const marksAtOnce = 1_024
/** The script's argument for a key that must be absent. */
const absent = Buffer.alloc(0)

export interface RedisStoreDeps {
  /** From `openRedis` or `openRedisCluster`. The store owns it from now on: `close` closes it. */
  readonly redis: Redis | Cluster
  /** The start of all keys, so that several stores can share a Redis. */
  readonly prefix: string
  /** Which servers answer a read that may lag behind. Default: the primaries. */
  readonly reads?: RedisReads
}

/**
 * An online store in Redis or Valkey, or a cluster of them. One string key per (view version, entity):
 *
 *     PREFIX:{KEY BYTES}ID
 *
 * (online/redis-key.ts). Reads of one turn of the event loop are sent together, large ones separately.
 */
export function createRedisStore({ redis, prefix, reads = 'primary' }: RedisStoreDeps): OnlineStore {
  const commands = redis instanceof Cluster ? redisCluster(redis) : singleRedis(redis)
  const { sameConnection } = commands
  const guarded = guardWith(commands)

  return {
    kind: 'redis',

    async identity() {
      const key = `${prefix}:store`
      return guarded(async () => {
        // Read first: a full Redis, or a replica, refuses writes.
        const present = await commands.get(key)
        if (present !== null) return present
        await commands.setIfAbsent(key, randomUUID())
        const identity = await commands.get(key)
        if (identity === null)
          throw new LockstepError('REDIS_UNAVAILABLE', `Redis lost the key "${key}" while the store was opened; try again.`)
        return identity
      })
    },

    read(keys, { behind = false, sure = false, through } = {}) {
      if (keys.length === 0) return Promise.resolve([])
      const names = keys.map((key) => redisKey(prefix, key))
      return sure
        ? guarded(() => readSurely(commands, prefix, names, through))
        : commands.read(names, behind && reads === 'replica', through)
    },

    async write(entries) {
      if (entries.length === 0) return []
      const writes = entries.map((entry) => ({
        key: redisKey(prefix, entry),
        expected: entry.expected ?? absent,
        bytes: entry.bytes,
      }))
      return guarded(() => commands.compareAndSet(writes))
    },

    async removeView(view, kept, around = async (step) => (await step(), true)) {
      const keep = kept === undefined ? null : redisKey(prefix, kept)
      return guarded(async () => {
        const nodes = await commands.primaries()
        const removed = await Promise.all(nodes.map((node) => removeFrom(commands, node, redisPattern(prefix, view), keep, around)))
        return removed.reduce((sum, count) => sum + count, 0)
      })
    },

    async *keys(view) {
      const wanted = stateKeys(prefix, view)
      try {
        for await (const names of commands.keys(wanted)) yield names.map(wanted.entityKey)
      } catch (cause) {
        throw redisError(cause, commands.connection)
      }
    },

    sizes: (views) => guarded(async () => await readSizes(await commands.primaries(), prefix, views)),

    async primaries() {
      return guarded(async () => {
        for (let tries = 1; ; tries++) {
          const ids = await Promise.all((await commands.primaries()).map(primaryId))
          const present = ids.filter((id) => id !== null)
          if (present.length === ids.length) return present
          // the same error as for a write, so that it is reported in the same way
          if (tries === triesForPrimaries) throw new ReplyError('READONLY A former primary is now a replica')
          await delay(pauseMs)
        }
      })
    },

    ...(commands.someSlots === undefined ? {} : { parts: partsOf(commands, prefix, guarded, commands.someSlots) }),
    ...(sameConnection === undefined ? {} : { sameConnection: (key: OnlineKey) => sameConnection(redisKey(prefix, key)) }),

    async ping() {
      return guarded(() => commands.ping((slot) => slotMark(prefix, slot)))
    },

    async memory() {
      const nodes = await guarded(() => commands.primaries())
      const read = await Promise.allSettled(nodes.map(readMemory))
      return read.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    },

    close: () => commands.close(),
  }
}

async function readSurely(
  commands: RedisCommands,
  prefix: string,
  keys: readonly string[],
  through: ServerGuard | undefined,
): Promise<(Buffer | null)[]> {
  // each state is written before the mark of its slot: a mark that is created in between does not count as an older one
  const owners = commands.someSlots === undefined ? [] : [...new Set(keys.map(keySlot))]
  const found = await commands.readSurely([...keys, ...owners.map((slot) => slotMark(prefix, slot))], through)
  const unmarked = new Set(owners.filter((_, i) => found[keys.length + i] === null))
  const values = found.slice(0, keys.length)
  if (unmarked.size > 0 && keys.some((key, i) => values[i] === null && unmarked.has(keySlot(key)))) {
    throw new LockstepError(
      'NOT_READY',
      'A server of the Redis Cluster was emptied, or has never been filled, so its states are unknown. Wait until a worker has filled it, or run "lockstep materialize".',
    )
  }
  return values
}

function partsOf(commands: RedisCommands, prefix: string, guarded: Guard, someSlots: () => Promise<readonly number[]>): StoreParts {
  return {
    async lost() {
      return await guarded(async () => {
        // sent together. What a server that is down has lost shows when it is back
        const marks = (await someSlots()).map((slot) => commands.read([slotMark(prefix, slot)], false))
        const found = await Promise.allSettled(marks)
        if (found.every(({ status }) => status === 'rejected')) await Promise.all(marks)
        return found.some((read) => read.status === 'fulfilled' && read.value[0] === null)
      })
    },
    async mark() {
      await guarded(async () => {
        for (let from = 0; from < slots; from += marksAtOnce) {
          const some = Array.from({ length: marksAtOnce }, (_, i) => slotMark(prefix, from + i))
          await Promise.all(some.map((key) => commands.setIfAbsent(key, '1')))
        }
      })
    },
  }
}

/**
 * The id of the process and of its term as a primary. null: it is no longer a primary.
 *
 * A replica that takes over begins a new history of writes, and keeps the id of the one before as a second id. A
 * primary also begins a new history when its first replica connects. It has lost nothing then, and has no second id.
 * The second id is also dropped once no replica has been connected for `repl-backlog-ttl`. What the process has
 * received as a replica still shows then that it was one.
 */
async function primaryId(node: Redis): Promise<string | null> {
  const info = await node.info('server', 'replication', 'stats')
  const [run, history] = [/^run_id:(\w+)/m.exec(info)?.[1], /^master_replid:(\w+)/m.exec(info)?.[1]]
  if (run === undefined || history === undefined) throw new Error('It does not report its process (INFO server)')
  if (isReplica(info)) return null
  const received = /^total_net_repl_input_bytes:([1-9]\d*)/m.exec(info)?.[1]
  const term = /^master_replid2:0+\r?$/m.test(info) ? received : history
  return term === undefined ? run : `${run}:${term}`
}

async function removeFrom(
  commands: RedisCommands,
  node: Redis,
  pattern: string,
  kept: string | null,
  around: (step: () => Promise<number>) => Promise<boolean>,
): Promise<number> {
  let removed = 0
  let cursor = '0'
  const step = async (): Promise<number> => {
    const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', keysPerScan)
    const unwanted = kept === null ? keys : keys.filter((key) => key !== kept)
    const gone = unwanted.length > 0 ? await commands.unlink(node, unwanted) : 0
    cursor = next
    removed += gone
    return gone
  }
  while ((await around(step)) && cursor !== '0');
  return removed
}

/** Runs commands and translates their failures. */
type Guard = <T>(run: () => Promise<T>) => Promise<T>

function guardWith({ connection }: RedisCommands): Guard {
  return async (run) => {
    try {
      return await run()
    } catch (cause) {
      throw redisError(cause, connection)
    }
  }
}
