import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { connectToStreams, failureText } from './redis-connection.ts'
import type { StreamConsumer, StreamLag, StreamMessage, StreamConsumerOptions } from './stream-consumer.ts'
import { deletedUnread } from './stream-consumer.ts'
import type { RedisStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { uniqueProcessName } from '../process-name.ts'

const blockMs = 1_000
/** A consumer that was not heard of for so long, and holds nothing, is forgotten. */
const forgetMs = 3_600_000
/** Where the server does not know how many entries wait, because some were deleted, they are counted up to here. */
const maxCounted = 10_000

/** A Redis Stream, read through a consumer group that begins with the oldest entry. */
export function openRedisConsumer(url: string, spec: RedisStreamSpec, { redeliverMs }: StreamConsumerOptions): StreamConsumer {
  const { stream, field, group } = spec
  const { redis, connection, cut } = connectToStreams(url)
  const consumer = uniqueProcessName()
  let joined = false
  let cursor = '0-0'
  let claimAtMs = 0

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      joined = false // the group may be gone with its stream
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${connection.server}" cannot be read: ${failureText(connection, cause)}. Check LOCKSTEP_STREAM_REDIS_URL and that the server runs.`,
        { cause },
      )
    }
  }

  async function join(): Promise<void> {
    if (joined) return
    await redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM').catch((error: unknown) => {
      if (!messageOf(error).startsWith('BUSYGROUP')) throw error
    })
    joined = true
  }

  /**
   * Entries that were handed out and not acknowledged in time, those of this process included: an answer may have been
   * lost.
   */
  async function claim(limit: number): Promise<StreamMessage[]> {
    if (performance.now() < claimAtMs) return []
    const reply = (await redis.callBuffer('XAUTOCLAIM', stream, group, consumer, redeliverMs, cursor, 'COUNT', limit)) as [
      Buffer,
      RawEntry[],
      Buffer[],
    ]
    cursor = reply[0].toString()
    if (cursor === '0-0') claimAtMs = performance.now() + redeliverMs / 2
    return [...reply[1].map(message), ...reply[2].map(deletedMessage)]
  }

  async function read(limit: number): Promise<StreamMessage[]> {
    const reply = (await redis.callBuffer(
      ...(['XREADGROUP', 'GROUP', group, consumer, 'COUNT', limit, 'BLOCK', blockMs, 'STREAMS', stream, '>'] as const),
    )) as RawReply | null
    // the entries of the one stream: the value of a map, or, in the older protocol, of a pair
    const entries = reply === null ? [] : reply.length === 2 ? reply[1] : reply[0][1]
    return entries.map(message)
  }

  function message([id, fields]: RawEntry): StreamMessage {
    let body: Buffer | null = null
    for (let i = 0; i + 1 < fields.length; i += 2) if (fields[i]?.toString() === field) body = fields[i + 1] ?? null
    const text = id.toString()
    return { id: text, body, atMs: Number(text.slice(0, text.indexOf('-'))) }
  }

  /** An entry that a process has read and not acknowledged, and that is not in the stream any more. */
  function deletedMessage(id: Buffer): StreamMessage {
    const failure = new LockstepError(
      'INVALID_EVENT',
      'The stream deleted the message after it was read, and before that was acknowledged. Its event may be stored. If it is not, send it again.',
      { details: { reason: deletedUnread } },
    )
    return { ...message([id, []]), failure }
  }

  return {
    redeliverMs,
    take: (limit) =>
      attempt(async () => {
        await join()
        const claimed = await claim(limit)
        return claimed.length > 0 ? claimed : await read(limit)
      }),
    acknowledge: (messages) =>
      attempt(async () => {
        if (messages.length > 0) await redis.call('XACK', stream, group, ...messages.map(({ id }) => id))
      }),
    extend: (messages) =>
      attempt(async () => {
        if (messages.length > 0) await redis.eval(extendScript, 1, stream, group, consumer, ...messages.map(({ id }) => id))
      }),
    lag: () =>
      attempt(async (): Promise<StreamLag> => {
        const [waiting, pending, count, last] = (await redis.eval(lagScript, 1, stream, group, maxCounted)) as LagReply
        return { waiting, pending, ...(count > 0 ? { deleted: [{ count, place: `after ${last}` }] } : {}) }
      }),
    async close() {
      if (joined) await redis.eval(forgetScript, 1, stream, group, consumer, forgetMs).catch(() => undefined)
      cut()
    },
  }
}

/** An entry's id, and its fields and values in turn. */
type RawEntry = readonly [id: Buffer, fields: readonly Buffer[]]
type StreamEntries = readonly [stream: Buffer, entries: readonly RawEntry[]]
type RawReply = StreamEntries | readonly [StreamEntries]

type LagReply = [waiting: number, pending: number, deleted: number, last: string]

/**
 * KEYS: the stream. ARGV: the group, and how many entries are counted at most. Returns how many entries the group has
 * not been given, how many it was given and has not acknowledged, how many at least were deleted before it was given
 * them, and the last one that it was given.
 */
const lagScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, 0, ''} end
for _, fields in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
  if group['name'] == ARGV[1] then
    local waiting = group['lag']
    if not waiting then waiting = #redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', ARGV[2]) end
    local stream, deleted = {}, 0
    local facts = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #facts, 2 do stream[facts[i]] = facts[i + 1] end
    -- of all entries that were ever added, so many are gone, and the group has passed so many
    if group['entries-read'] then deleted = math.max(0, stream['entries-added'] - stream['length'] - group['entries-read']) end
    return {waiting, group['pending'], deleted, group['last-delivered-id']}
  end
end
return {redis.call('XLEN', KEYS[1]), 0, 0, ''}`

/**
 * KEYS: the stream. ARGV: the group, a consumer, and ids of entries. Lets the time of the entries that the consumer
 * holds begin again. Returns nothing.
 */
const extendScript = `
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end`

/**
 * KEYS: the stream. ARGV: the group, a consumer, and milliseconds. Removes the consumer, and all that were not heard of
 * for so long, where they hold no entry: with one that does, its entries would be lost. Returns nothing.
 */
const forgetScript = `
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
  if consumer['pending'] == 0 and (consumer['name'] == ARGV[2] or consumer['idle'] > tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end`
