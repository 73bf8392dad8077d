import type { Redis } from 'ioredis'
import { orTimeout } from '../runtime/async.ts'
import type { RedisConnection } from '../runtime/redis/redis.ts'
import type { StateKeys } from './redis-key.ts'
import type { ServerGuard, ServerState } from './store.ts'

/**
 * The commands that the online store needs from one Redis (redis-single.ts) or a Redis Cluster (redis-cluster.ts). They
 * fail with the client's errors unless stated otherwise; `redisError` translates them.
 */
export interface RedisCommands {
  readonly connection: RedisConnection
  /**
   * The values by index, null where there are none. Keys that are requested in one turn of the event loop are sent
   * together, up to `keysPerTurn`.
   *
   * @param replicas whether replicas, which lag behind, may answer
   * @param through as in `ReadOptions`
   * @throws LockstepError as `redisError`, once for all keys that are sent together
   */
  read(keys: readonly string[], replicas: boolean, through?: ServerGuard): Promise<(Buffer | null)[]>
  /** As `read`, from primaries. A key that is not a string fails with WRONGTYPE. */
  readSurely(keys: readonly string[], through?: ServerGuard): Promise<(Buffer | null)[]>
  /** Only for a cluster: some slots of each server, namely the ends of each range and one between. */
  someSlots?(): Promise<readonly number[]>
  /** Only for a cluster: as `sameConnection` of the online store. */
  sameConnection?(key: string): () => boolean
  /** As the script `compareAndSet`, by index. When it fails, no part of it is still running. */
  compareAndSet(entries: readonly RedisWrite[]): Promise<boolean[]>
  get(key: string): Promise<string | null>
  setIfAbsent(key: string, value: string): Promise<void>
  /** The keys of a view's states, in groups. A key that exists from start to end is listed, possibly twice. */
  keys(wanted: StateKeys): AsyncIterable<readonly string[]>
  /** The nodes that hold the keys: one, or every primary of a cluster. */
  primaries(): Promise<readonly Redis[]>
  /** Deletes keys that this node listed; returns how many existed. */
  unlink(node: Redis, keys: readonly string[]): Promise<number>
  /** As `ping` of the online store. @param keyOf a key of the store in a slot of a cluster */
  ping(keyOf: (slot: number) => string): Promise<readonly ServerState[]>
  close(): Promise<void>
}

export interface RedisWrite {
  readonly key: string
  /** Empty where the key must be absent. */
  readonly expected: Buffer
  readonly bytes: Buffer
}

/**
 * The maximum number of keys of one group in a turn of the event loop, unless one caller asks for more: few enough that
 * decoding one group takes about as long as fetching the next.
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

/** @throws where the script's answer is not as its header says */
export function scriptAnswer(answer: unknown, entries: readonly RedisWrite[]): boolean[] {
  if (Array.isArray(answer) && answer.length === entries.length) return answer.map((stored) => stored === 1)
  throw new Error(`The script answered ${String(answer)} for ${entries.length} keys.`)
}

/** Waits for all of them, so that nothing is still running when a failure is reported. */
export async function allSettled<T>(calls: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(calls)
  return settled.map((call) => {
    if (call.status === 'rejected') throw call.reason
    return call.value
  })
}

/** Up to this many keys are read key by key: that takes no more commands than MGET and EXISTS. */
const fewKeys = 2

/**
 * The values of groups of keys, in one pipeline. Each group is read by one MGET, which answers null for a key that is
 * not a string. If more keys exist than have values, the group is read key by key, and that fails with WRONGTYPE.
 *
 * @param node null: no pipeline is sent, and `again` reads all keys
 * @param again requests a failed key once more, or throws its error
 */
export async function readGroups(
  node: Redis | null,
  groups: readonly (readonly string[])[],
  again: (key: string, error: Error | null) => Promise<Buffer | null>,
): Promise<(Buffer | null)[][]> {
  const pipeline = node?.pipeline()
  for (const keys of groups) {
    if (keys.length > fewKeys) pipeline?.mgetBuffer(...keys).exists(...keys)
    else for (const key of keys) pipeline?.getBuffer(key)
  }
  const answers = (await pipeline?.exec()) ?? []
  let next = 0
  return await allSettled(
    groups.map((keys) => {
      const own = answers.slice(next, (next += keys.length > fewKeys ? 2 : keys.length))
      return keys.length > fewKeys ? valuesOf(node, keys, own, again) : gotAll(own, keys, again)
    }),
  )
}

type Answers = readonly (readonly [Error | null, unknown])[]

/** The values of one group, from the answers of MGET and EXISTS, or key by key where these differ. */
async function valuesOf(
  node: Redis | null,
  keys: readonly string[],
  [read, existing]: Answers,
  again: (key: string, error: Error | null) => Promise<Buffer | null>,
): Promise<(Buffer | null)[]> {
  const values: readonly unknown[] | null = Array.isArray(read?.[1]) ? read[1] : null
  if (values === null || node === null) return await gotAll([], keys, (key) => again(key, read?.[0] ?? null))
  const found = values.map((value) => (value instanceof Buffer ? value : null))
  if (found.filter((value) => value !== null).length === existing?.[1]) return found
  const pipeline = node.pipeline()
  for (const key of keys) pipeline.getBuffer(key)
  return await gotAll((await pipeline.exec()) ?? [], keys, again)
}

/** The values from the answers of a pipeline of GETs. */
function gotAll(
  answers: Answers,
  keys: readonly string[],
  again: (key: string, error: Error | null) => Promise<Buffer | null>,
): Promise<(Buffer | null)[]> {
  return allSettled(
    keys.map(async (key, i) => {
      const [error, value] = answers[i] ?? [null]
      if (value instanceof Buffer) return value
      return value === null ? null : await again(key, error)
    }),
  )
}

export const keysPerScan = 1_000

/** The keys of one node. */
export async function* scanKeys(node: Redis, { pattern }: Pick<StateKeys, 'pattern'>): AsyncGenerator<string[]> {
  let cursor = '0'
  do {
    const [next, names] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', keysPerScan)
    if (names.length > 0) yield names
    cursor = next
  } while (cursor !== '0')
}

/** Waits up to half a second for a server's answer to QUIT. */
export async function quitGracefully(quit: Promise<unknown>): Promise<void> {
  await orTimeout(
    quit.catch(() => undefined),
    quitMs,
  )
}

const quitMs = 500
