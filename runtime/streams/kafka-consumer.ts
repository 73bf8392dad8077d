import type { Message, MessagesStream } from '@platformatic/kafka'
import { Admin, Consumer, FetchIsolationLevels, ListOffsetTimestamps, MessagesStreamModes } from '@platformatic/kafka'
import { once } from 'node:events'
import { orTimeout, timedOut, withTimeout } from '../async.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaStreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import { kafkaReason } from './kafka-reason.ts'
import type { StreamConsumer, StreamConsumerOptions, StreamLag, StreamMessage } from './stream-consumer.ts'

const connectTimeoutMs = 2_000
const answerTimeoutMs = 10_000
const waitMs = 1_000
/** How many messages are read ahead, and how many bytes an answer of a broker holds at most, unless one message is longer. */
const readAhead = 500
const maxBytes = 8 * 1024 * 1024
/** How old the knowledge of a topic's partitions may be. */
const metadataMaxAgeMs = 5_000
const heartbeatMs = 3_000
const closeTimeoutMs = 5_000

/**
 * A Kafka topic, read through a consumer group that begins with the oldest message. The topic is the user's to make.
 * The brokers give each partition to one member of the group, and to another once nothing was heard from that one for
 * `redeliverMs`. An acknowledgement covers what came before it in its partition, too.
 */
export function openKafkaConsumer(url: string, spec: KafkaStreamSpec, { redeliverMs }: StreamConsumerOptions): StreamConsumer {
  const { stream: topic, group } = spec
  const { server, options } = kafkaClient(url)
  const client = { ...options, requestTimeout: Math.max(answerTimeoutMs, redeliverMs * 2), metadataMaxAge: metadataMaxAgeMs }
  let joining: Promise<Membership> | null = null
  let admin: Admin | null = null
  let closed = false
  const held = new WeakMap<StreamMessage, { readonly message: Message; readonly of: Membership }>()

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${server}" cannot be read by the group "${group}": ${kafkaReason(cause)}`,
        { cause },
      )
    }
  }

  async function join(): Promise<Membership> {
    const consumer = quieted(
      new Consumer({
        ...client,
        groupId: group,
        sessionTimeout: redeliverMs,
        rebalanceTimeout: redeliverMs * 2,
        heartbeatInterval: Math.min(heartbeatMs, Math.ceil(redeliverMs / 4)),
        autocommit: false,
      }),
    )
    let failure: unknown = null
    const fail = (error: unknown): void => {
      failure ??= error
    }
    consumer.on('error', fail)
    consumer.on('consumer:heartbeat:stalled', ({ lastError }) => fail(lastError ?? new Error('the group does not answer')))
    try {
      const { id, partitionsCount } = await topicOf(consumer)
      const messages = await consumer.consume({
        topics: [topic],
        mode: MessagesStreamModes.COMMITTED,
        fallbackMode: 'earliest',
        maxWaitTime: waitMs,
        maxBytes,
        highWaterMark: readAhead,
      })
      messages.on('error', fail)
      messages.on('readable', () => undefined) // so that it fetches
      return { consumer, messages, id, partitionsCount, done: new Map(), failure: () => failure }
    } catch (error) {
      await leave(consumer)
      throw error
    }
  }

  async function topicOf(of: Consumer | Admin): Promise<{ id: string; partitionsCount: number }> {
    const metadata = await of.metadata({ topics: [topic] })
    const found = metadata.topics.get(topic)
    if (found === undefined) throw new Error('the topic does not exist')
    return found
  }

  /** Ends the membership, if it is still the one in use: the next call of `take` joins anew. */
  async function end(membership: Membership): Promise<void> {
    joining = null
    membership.messages.destroy()
    await leave(membership.consumer)
  }

  async function commit({ consumer, done }: Membership): Promise<void> {
    const mine = new Set(consumer.assignments?.flatMap(({ partitions }) => partitions))
    // who has the partition now gets its messages again, and commits them
    for (const partition of done.keys()) if (!mine.has(partition)) done.delete(partition)
    if (done.size === 0) return
    const all = [...done.values()]
    const offsets = all.map(({ partition, offset, leaderEpoch }) => ({ topic, partition, offset: offset + 1n, leaderEpoch }))
    await withTimeout(consumer.commit({ offsets }), answerTimeoutMs, () => new Error('it does not answer'))
    for (const message of all) if (done.get(message.partition) === message) done.delete(message.partition)
  }

  /** What of the membership's messages is there, after a wait for the first. */
  async function read(membership: Membership, limit: number, until: number): Promise<Message[]> {
    const { messages, failure } = membership
    const taken: Message[] = []
    while (taken.length < limit) {
      if (failure() !== null) throw failure()
      if (messages.destroyed) throw new Error('the connection was lost')
      const next = messages.read() as Message | null
      if (next !== null) {
        taken.push(next)
        continue
      }
      const left = until - performance.now()
      if (taken.length > 0 || left <= 0) break
      const stop = new AbortController()
      const { signal } = stop
      await orTimeout(Promise.race([once(messages, 'readable', { signal }), once(messages, 'close', { signal })]), left).catch(fallThrough)
      stop.abort()
    }
    return taken
  }

  return {
    redeliverMs,
    take: (limit) =>
      attempt(async () => {
        const until = performance.now() + waitMs
        // joining takes as long as the group needs to agree, longer than a call may wait
        joining ??= join()
        const membership = await orTimeout(joining, waitMs).catch((error: unknown) => {
          joining = null
          throw error
        })
        if (membership === timedOut) return []
        try {
          // what could not be committed before: nothing gives its messages again to a member that stays
          await commit(membership)
          const taken = await read(membership, limit, until)
          const { id, partitionsCount } = await topicOf(membership.consumer)
          // made again, its offsets begin again; with more partitions, the group has to share them out
          if (id !== membership.id || partitionsCount !== membership.partitionsCount) {
            await end(membership)
            return []
          }
          return taken.map((message) => {
            const given = {
              id: `${id}-${message.partition}-${message.offset}`,
              body: message.value ?? null,
              atMs: Number(message.timestamp),
            }
            held.set(given, { message, of: membership })
            return given
          })
        } catch (error) {
          await end(membership)
          throw error
        }
      }),
    acknowledge: (messages) =>
      attempt(async () => {
        const membership = joining === null ? null : await joining
        if (membership === null) return
        for (const each of messages) {
          const { message, of } = held.get(each) ?? {}
          // of an earlier membership: they come again, to whom has their partition now
          if (message === undefined || of !== membership) continue
          const last = membership.done.get(message.partition)
          if (last === undefined || message.offset > last.offset) membership.done.set(message.partition, message)
        }
        await commit(membership)
      }),
    // a member that the group hears of keeps its partitions
    extend: async () => undefined,
    lag: () =>
      attempt(async (): Promise<StreamLag> => {
        admin ??= quieted(new Admin(client))
        const { partitionsCount } = await topicOf(admin)
        const indices = Array.from({ length: partitionsCount }, (_, i) => i)
        const bound = async (timestamp: bigint): Promise<Map<number, bigint>> => {
          const partitions = indices.map((partitionIndex) => ({ partitionIndex, timestamp }))
          const isolationLevel = FetchIsolationLevels.READ_COMMITTED
          const found = await admin?.listOffsets({ topics: [{ name: topic, partitions }], isolationLevel })
          return new Map(found?.flatMap(({ partitions }) => partitions).map(({ partitionIndex, offset }) => [partitionIndex, offset]))
        }
        const groups = [{ groupId: group, topics: [{ name: topic, partitionIndexes: indices }] }]
        const [ends, starts, committed] = await Promise.all([
          bound(ListOffsetTimestamps.LATEST),
          bound(ListOffsetTimestamps.EARLIEST),
          admin.listConsumerGroupOffsets({ groups }),
        ])
        const done = new Map<number, bigint>()
        for (const { topics } of committed)
          for (const { partitions } of topics) for (const each of partitions) done.set(each.partitionIndex, each.committedOffset)
        let waiting = 0n
        for (const i of indices) {
          const [begin, committedOffset, last] = [starts.get(i) ?? 0n, done.get(i) ?? -1n, ends.get(i) ?? 0n]
          const from = committedOffset > begin ? committedOffset : begin
          if (last > from) waiting += last - from
        }
        // which of them a member has been given, the brokers do not know
        return { waiting: Number(waiting), pending: 0 }
      }),
    async close() {
      if (closed) return
      closed = true
      // a group may take longer to agree than a process has to end
      const leaving = joining?.then(end, () => undefined)
      if (leaving !== undefined) await orTimeout(leaving, closeTimeoutMs)
      await admin?.close().catch(() => undefined)
    },
  }
}

interface Membership {
  readonly consumer: Consumer
  readonly messages: MessagesStream<Buffer, Buffer, Buffer, Buffer>
  /** A topic that is deleted and made again has another. */
  readonly id: string
  readonly partitionsCount: number
  /** The last message that is done with, by partition, where the group was not told yet. */
  readonly done: Map<number, Message>
  /** Why it has to be given up; null: it works. */
  failure(): unknown
}

/** Its partitions go to others at once, where the brokers can be told. */
async function leave(consumer: Consumer): Promise<void> {
  await orTimeout(consumer.close(true), connectTimeoutMs).catch(() => undefined)
}

function fallThrough(): void {}
