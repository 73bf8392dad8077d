import type { Consumer, Message, MessagesStream } from '@platformatic/kafka'
import { Admin, FetchIsolationLevels, ListOffsetTimestamps, MessagesStreamModes } from '@platformatic/kafka'
import { once } from 'node:events'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaStreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'
import type { timedOut } from '../async.ts'
import { orTimeout } from '../async.ts'
import { CommittedConsumer } from './kafka-aborted.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import { kafkaReason } from './kafka-reason.ts'
import type { StreamConsumerOptions, StreamLag, StreamMessage } from './stream-consumer.ts'

const connectTimeoutMs = 2_000
const answerTimeoutMs = 10_000
const waitMs = 1_000
/**
 * How many messages are read ahead, and how many bytes an answer of a broker holds at most, unless one message is
 * longer.
 */
const readAhead = 500
const maxBytes = 8 * 1024 * 1024
/** How old the knowledge of a topic's partitions may be. */
const metadataMaxAgeMs = 5_000
const heartbeatMs = 3_000
const closeTimeoutMs = 5_000

/** A member of the group of a topic, joined when it is first needed, and again after it has ended. */
export interface KafkaReader {
  /** The membership in use. @returns timedOut: the group has not agreed within a second */
  member(): Promise<KafkaMember | typeof timedOut>
  /** The membership in use; null: none is. */
  present(): Promise<KafkaMember> | null
  /** Messages that are there, after a wait for the first until `until` (`performance.now()`). */
  read(member: KafkaMember, limit: number, until: number): Promise<Message[]>
  /** Reads from the committed offsets again. Nothing that was read ahead is given. */
  reread(member: KafkaMember): Promise<void>
  /** Ends the membership if the topic was deleted and recreated, or has more partitions. @returns whether it did */
  endIfChanged(member: KafkaMember): Promise<boolean>
  /** Ends the membership: the next call of `member` joins again. */
  end(member: KafkaMember): Promise<void>
  admin(): Admin
  lag(): Promise<StreamLag>
  /** @throws LockstepError `STREAM_UNAVAILABLE` for what fails */
  attempt<T>(action: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface KafkaMember {
  readonly consumer: CommittedConsumer
  messages: MessagesStream<Buffer, Buffer, Buffer, Buffer>
  /** A recreated topic has another one. */
  readonly id: string
  readonly partitionsCount: number
  /** What the group has last agreed on: another object each time. */
  group(): KafkaGeneration
  /** Why the membership has to be given up; null: it works. */
  failure(): unknown
}

export interface KafkaGeneration {
  readonly memberId: string
  readonly generationId: number
  readonly partitions: ReadonlySet<number>
}

export function openKafkaReader(url: string, spec: KafkaStreamSpec, { redeliverMs }: StreamConsumerOptions): KafkaReader {
  const { stream: topic, group: groupId } = spec
  const { server } = kafkaClient(url)
  /** Certificates are read again each time, as replaced ones count from the next connection on. */
  const client = () => ({
    ...kafkaClient(url).options,
    requestTimeout: Math.max(answerTimeoutMs, redeliverMs * 2),
    metadataMaxAge: metadataMaxAgeMs,
  })
  let joining: Promise<KafkaMember> | null = null
  let administering: Admin | null = null
  let closed = false

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      const failed = administering
      administering = null
      await failed?.close().catch(() => undefined)
      if (cause instanceof LockstepError) throw cause
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${server}" cannot be read by the group "${groupId}": ${kafkaReason(cause)}`,
        { cause },
      )
    }
  }

  async function join(): Promise<KafkaMember> {
    const consumer = quieted(
      new CommittedConsumer({
        ...client(),
        groupId,
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
    let group: KafkaGeneration = { memberId: '', generationId: -1, partitions: new Set() }
    consumer.on('error', fail)
    consumer.on('consumer:heartbeat:stalled', ({ lastError }) => fail(lastError ?? new Error('the group does not answer')))
    consumer.on('consumer:group:join', ({ memberId, generationId = -1 }) => {
      const partitions = new Set(consumer.assignments?.flatMap(({ partitions }) => partitions))
      group = { memberId, generationId, partitions }
    })
    try {
      const { id, partitionsCount } = await topicOf(consumer)
      const messages = await messagesOf(consumer, fail)
      return { consumer, messages, id, partitionsCount, group: () => group, failure: () => failure }
    } catch (error) {
      await leave(consumer)
      throw error
    }
  }

  async function messagesOf(consumer: Consumer, fail: (error: unknown) => void): Promise<KafkaMember['messages']> {
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
    return messages
  }

  async function topicOf(of: Consumer | Admin): Promise<{ id: string; partitionsCount: number }> {
    const metadata = await of.metadata({ topics: [topic] })
    const found = metadata.topics.get(topic)
    if (found === undefined) throw new Error('the topic does not exist')
    return found
  }

  async function end(member: KafkaMember): Promise<void> {
    joining = null
    member.messages.destroy()
    await leave(member.consumer)
  }

  function admin(): Admin {
    administering ??= quieted(new Admin(client()))
    return administering
  }

  return {
    attempt,
    admin,
    end,
    present: () => joining,
    async member() {
      // joining takes as long as the group needs to agree, longer than a call may wait
      joining ??= join()
      return await orTimeout(joining, waitMs).catch((error: unknown) => {
        joining = null
        throw error
      })
    },
    async read({ messages, failure }, limit, until) {
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
        await orTimeout(Promise.race([once(messages, 'readable', { signal }), once(messages, 'close', { signal })]), left).catch(ignore)
        stop.abort()
      }
      return taken
    },
    async reread(member) {
      const before = member.messages
      // the first one still counts, so that the member does not join again
      member.messages = await messagesOf(member.consumer, (error) => member.messages.destroy(error as Error))
      before.removeAllListeners('error').on('error', ignore)
      before.destroy()
    },
    async endIfChanged(member) {
      const { id, partitionsCount } = await topicOf(member.consumer)
      if (id === member.id && partitionsCount === member.partitionsCount) return false
      await end(member)
      return true
    },
    async lag() {
      const { partitionsCount } = await topicOf(admin())
      const indices = Array.from({ length: partitionsCount }, (_, i) => i)
      const bound = async (timestamp: bigint): Promise<Map<number, bigint>> => {
        const partitions = indices.map((partitionIndex) => ({ partitionIndex, timestamp }))
        const isolationLevel = FetchIsolationLevels.READ_COMMITTED
        const found = await admin().listOffsets({ topics: [{ name: topic, partitions }], isolationLevel })
        return new Map(found.flatMap(({ partitions }) => partitions).map(({ partitionIndex, offset }) => [partitionIndex, offset]))
      }
      const [ends, starts, done] = await Promise.all([
        bound(ListOffsetTimestamps.LATEST),
        bound(ListOffsetTimestamps.EARLIEST),
        committedOffsets(admin(), spec, indices),
      ])
      let waiting = 0n
      for (const i of indices) {
        const [begin, committedOffset, last] = [starts.get(i) ?? 0n, done.get(i) ?? -1n, ends.get(i) ?? 0n]
        const from = committedOffset > begin ? committedOffset : begin
        if (last > from) waiting += last - from
      }
      // which of them a member has been given, the brokers do not know
      return { waiting: Number(waiting), pending: 0 }
    },
    async close() {
      if (closed) return
      closed = true
      // a group may take longer to agree than a process has to end
      const leaving = joining?.then(end, () => undefined)
      if (leaving !== undefined) await orTimeout(leaving, closeTimeoutMs)
      await administering?.close().catch(() => undefined)
    },
  }
}

/** @param stable whether offsets of transactions that have not ended are waited for */
export async function committedOffsets(
  admin: Admin,
  { stream: topic, group }: KafkaStreamSpec,
  partitions: Iterable<number>,
  { stable = false }: { readonly stable?: boolean } = {},
): Promise<Map<number, bigint>> {
  const groups = [{ groupId: group, topics: [{ name: topic, partitionIndexes: [...partitions] }] }]
  const found = await admin.listConsumerGroupOffsets({ groups, requireStable: stable })
  const all = found.flatMap(({ topics }) => topics).flatMap(({ partitions }) => partitions)
  return new Map(all.map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]))
}

/** A message as consumers give it. */
export function streamMessage({ id }: KafkaMember, { partition, offset, value, timestamp }: Message): StreamMessage {
  return { id: `${id}-${partition}-${offset}`, body: value ?? null, atMs: Number(timestamp) }
}

/** If the brokers can be reached, the partitions are reassigned at once. */
async function leave(consumer: Consumer): Promise<void> {
  await orTimeout(consumer.close(true), connectTimeoutMs).catch(() => undefined)
}

function ignore(): void {}
