import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { LockstepError } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { RedisConnection } from '../runtime/redis.ts'
import { cutRedis, watchRedis } from '../runtime/redis.ts'
import { compareAndSet } from './compare-and-set.ts'
import { redisError } from './redis-error.ts'
import { redisKey, redisPattern } from './redis-key.ts'
import type { OnlineStore, OnlineWrite } from './store.ts'

/** Keys of one MGET, and of one script call: large enough to amortize the round trip, small enough not to hold Redis up. */
const keysPerRead = 1_000
const keysPerWrite = 100
const bytesPerWrite = 4 * 1024 * 1024
const keysPerScan = 1_000
/** What the script takes for a key that must not be there. */
const absent = Buffer.alloc(0)
/** How long the store waits at its end for a Redis that says nothing. */
const quitMs = 500

export interface RedisStoreDeps {
  /** From `openRedis`. The store owns it from now on: `close` closes it. */
  readonly redis: Redis
  /** What all keys start with, so that several stores can share a Redis. */
  readonly prefix: string
}

/**
 * An online store in Redis or Valkey. One string key per (view version, entity):
 *
 *     PREFIX:{KEY BYTES}ID
 *
 * (online/redis-key.ts). All reads that are asked for in one turn of the event loop go out as one MGET.
 */
export function createRedisStore({ redis, prefix }: RedisStoreDeps): OnlineStore {
  const guarded = guardWith(watchRedis(redis))
  let waiting: Read[] = []

  function flush(): void {
    const reads = waiting
    waiting = []
    void answer(redis, guarded, reads)
  }

  return {
    kind: 'redis',

    async identity() {
      const key = `${prefix}:store`
      return guarded(async () => {
        // Read first: a Redis that is full, or a replica, takes no writes.
        const present = await redis.get(key)
        if (present !== null) return present
        await redis.set(key, randomUUID(), 'NX')
        const identity = await redis.get(key)
        if (identity === null)
          throw new LockstepError('REDIS_UNAVAILABLE', `Redis lost the key "${key}" while the store was opened; try again.`)
        return identity
      })
    },

    read(keys) {
      if (keys.length === 0) return Promise.resolve([])
      return new Promise((resolve, reject) => {
        const encoded = keys.map((key) => redisKey(prefix, key))
        if (waiting.length === 0) setImmediate(flush)
        waiting.push({ keys: encoded, resolve, reject })
      })
    },

    async write(entries) {
      const calls = chunksOf(entries).map((chunk) => guarded(() => writeChunk(redis, prefix, chunk)))
      // Every call is waited for, so that nothing is under way any more when a failure is reported.
      const settled = await Promise.allSettled(calls)
      return settled.flatMap((call) => {
        if (call.status === 'rejected') throw call.reason
        return call.value
      })
    },

    async removeView(view, kept) {
      return guarded(() => removeView(redis, prefix, view, kept === undefined ? null : redisKey(prefix, kept)))
    },

    async ping() {
      await guarded(() => redis.ping())
    },

    async close() {
      if (redis.status === 'end') return
      // a Redis that is not there cannot answer
      if (redis.status === 'ready') await quit(redis)
      else cutRedis(redis)
    },
  }
}

interface Read {
  readonly keys: readonly Buffer[]
  resolve(values: (Buffer | null)[]): void
  reject(error: unknown): void
}

/** Answers several reads by one MGET for each thousand keys, all under way at once. */
async function answer(redis: Redis, guarded: Guard, reads: readonly Read[]): Promise<void> {
  try {
    const keys = reads.length === 1 && reads[0] !== undefined ? reads[0].keys : reads.flatMap((read) => read.keys)
    const chunks: Promise<(Buffer | null)[]>[] = []
    for (let i = 0; i < keys.length; i += keysPerRead) chunks.push(redis.mgetBuffer(keys.slice(i, i + keysPerRead)))
    const values = (await guarded(() => Promise.all(chunks))).flat()
    let at = 0
    for (const read of reads) {
      read.resolve(values.slice(at, at + read.keys.length))
      at += read.keys.length
    }
  } catch (error) {
    for (const read of reads) read.reject(error)
  }
}

async function writeChunk(redis: Redis, prefix: string, entries: readonly OnlineWrite[]): Promise<boolean[]> {
  const keys = entries.map((entry) => redisKey(prefix, entry))
  const values = entries.flatMap((entry) => [entry.expected ?? absent, entry.bytes])
  const stored = await redis.eval(compareAndSet, keys.length, ...keys, ...values)
  if (!Array.isArray(stored) || stored.length !== entries.length)
    throw new Error(`The script answered ${String(stored)} for ${entries.length} keys.`)
  return stored.map((value) => value === 1)
}

async function removeView(redis: Redis, prefix: string, view: DefinitionId, kept: Buffer | null): Promise<number> {
  const pattern = redisPattern(prefix, view)
  let removed = 0
  let cursor = '0'
  do {
    const [next, keys] = await redis.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', keysPerScan)
    const unwanted = kept === null ? keys : keys.filter((key) => !kept.equals(key))
    if (unwanted.length > 0) removed += await redis.unlink(...unwanted)
    cursor = next.toString()
  } while (cursor !== '0')
  return removed
}

function chunksOf(entries: readonly OnlineWrite[]): OnlineWrite[][] {
  const chunks: OnlineWrite[][] = []
  let chunk: OnlineWrite[] = []
  let bytes = 0
  for (const entry of entries) {
    if (chunk.length > 0 && (chunk.length === keysPerWrite || bytes + entry.bytes.length > bytesPerWrite)) {
      chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(entry)
    bytes += entry.bytes.length
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}

/** Runs commands, and says what it means that one fails. */
type Guard = <T>(run: () => Promise<T>) => Promise<T>

function guardWith(connection: RedisConnection): Guard {
  return async (run) => {
    try {
      return await run()
    } catch (cause) {
      throw redisError(cause, connection)
    }
  }
}

/** QUIT waits for the answers under way, and has a moment for it. */
async function quit(redis: Redis): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, quitMs)))
  await Promise.race([redis.quit().catch(() => undefined), late])
  clearTimeout(timer)
  cutRedis(redis)
}
