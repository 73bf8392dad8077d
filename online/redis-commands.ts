import type { Redis } from 'ioredis'
import { orTimeout } from '../runtime/async.ts'
import type { RedisConnection } from '../runtime/redis.ts'

/**
 * What the online store asks of a Redis (redis-single.ts) or of a Redis Cluster (redis-cluster.ts). They fail as their
 * client does, where nothing else is said; `redisError` says what it means.
 */
export interface RedisCommands {
  readonly connection: RedisConnection
  /**
   * The values, null where there is none, by index; keys that are asked for in one turn of the event loop travel
   * together, up to some (`keysPerTurn`).
   *
   * @param replicas whether replicas may answer, which lag behind
   * @throws LockstepError as of `redisError`: said once for all that travel together
   */
  read(keys: readonly string[], replicas: boolean): Promise<(Buffer | null)[]>
  /** As `read`, from primaries, key by key: what is no string fails with WRONGTYPE. */
  readSurely(keys: readonly string[]): Promise<(Buffer | null)[]>
  /** Of a cluster: for each server some slots that it holds, of each run of them the ends and one between. */
  someSlots?(): Promise<readonly number[]>
  /** As the script `compareAndSet`, by index. When it fails, nothing of it is under way any more. */
  compareAndSet(entries: readonly RedisWrite[]): Promise<boolean[]>
  get(key: string): Promise<string | null>
  setIfAbsent(key: string, value: string): Promise<void>
  /** The nodes that hold the keys: one, or every primary of a cluster. */
  primaries(): Promise<readonly Redis[]>
  /** Deletes keys that this node told of; returns how many there were. */
  unlink(node: Redis, keys: readonly string[]): Promise<number>
  ping(): Promise<void>
  close(): Promise<void>
}

export interface RedisWrite {
  readonly key: string
  /** Empty where the key must be absent. */
  readonly expected: Buffer
  readonly bytes: Buffer
}

/**
 * Keys that are asked for in one turn of the event loop, and more of one caller: few enough that decoding one group
 * takes about as long as fetching the next.
 */
export const keysPerTurn = 200
/** Keys of one script call: large enough to amortize the round trip, small enough not to hold Redis up. */
const keysPerWrite = 100
const bytesPerWrite = 4 * 1024 * 1024

export function chunksOf(entries: readonly RedisWrite[]): RedisWrite[][] {
  const chunks: RedisWrite[][] = []
  let chunk: RedisWrite[] = []
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

/** KEYS and ARGV of the script. */
export function scriptArguments(entries: readonly RedisWrite[]): (string | Buffer)[] {
  return [...entries.map(({ key }) => key), ...entries.flatMap(({ expected, bytes }) => [expected, bytes])]
}

/** @throws where the script answered something else than its header says */
export function scriptAnswer(answer: unknown, entries: readonly RedisWrite[]): boolean[] {
  if (Array.isArray(answer) && answer.length === entries.length) return answer.map((stored) => stored === 1)
  throw new Error(`The script answered ${String(answer)} for ${entries.length} keys.`)
}

/** Every one is waited for, so that nothing is under way any more when a failure is reported. */
export async function allSettled<T>(calls: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(calls)
  return settled.map((call) => {
    if (call.status === 'rejected') throw call.reason
    return call.value
  })
}

/**
 * The values that a pipeline of GETs was answered.
 *
 * @param again asks for one that failed by itself, or throws its error
 */
export function gotAll(
  answers: readonly (readonly [Error | null, unknown])[] | null,
  keys: readonly string[],
  again: (key: string, error: Error | null) => Promise<Buffer | null>,
): Promise<(Buffer | null)[]> {
  return allSettled(
    keys.map(async (key, i) => {
      const [error, value] = answers?.[i] ?? [null]
      if (value instanceof Buffer) return value
      return value === null ? null : await again(key, error)
    }),
  )
}

/** Waits for a server's answer to QUIT, for half a second at most. */
export async function quitGracefully(quit: Promise<unknown>): Promise<void> {
  await orTimeout(
    quit.catch(() => undefined),
    quitMs,
  )
}

const quitMs = 500
