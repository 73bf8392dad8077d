import type { Consumer, Message, MessagesStream } from '@platformatic/kafka'
import { MessagesStreamModes } from '@platformatic/kafka'
import { once } from 'node:events'
import { orTimeout, withTimeout } from '../async.ts'
import type { CommittedConsumer } from './kafka-aborted.ts'
import { closeClient } from './kafka-client.ts'
import type { KafkaTopic } from './kafka-topic.ts'
import { answered, describeTopic } from './kafka-topic.ts'
import type { StreamMessage } from './stream-consumer.ts'

const fetchWaitMs = 1_000
/**
 * How many messages are read ahead, and how many bytes an answer of a broker holds at most, unless one message is
 * longer.
 */
const readAhead = 500
const maxBytes = 8 * 1024 * 1024

type Messages = MessagesStream<Buffer, Buffer, Buffer, Buffer>

/** A member of the group of a topic. */
export interface KafkaMember extends KafkaTopic {
  readonly consumer: CommittedConsumer
  messages: Messages
  /** The last agreement of the group: another object each time. */
  group(): KafkaGeneration
  /** Why the membership has to be given up; null: it works. */
  failure(): unknown
}

export interface KafkaGeneration {
  readonly memberId: string
  readonly generationId: number
  readonly partitions: ReadonlySet<number>
}

/** Joins the group, and begins to read from its committed offsets. If it fails, the consumer is closed. */
export async function joinGroup(consumer: CommittedConsumer, topic: string, timeoutMs: number): Promise<KafkaMember> {
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
    const { id, partitionsCount } = await describeTopic(consumer, topic)
    const messages = await withTimeout(
      openMessages(consumer, topic, fail),
      timeoutMs,
      () => new Error(`the group did not agree on its members within ${timeoutMs / 1000} s. This process joins it again`),
    )
    return { consumer, messages, id, partitionsCount, group: () => group, failure: () => failure }
  } catch (error) {
    await leaveGroup(consumer)
    throw error
  }
}

async function openMessages(consumer: Consumer, topic: string, fail: (error: unknown) => void): Promise<Messages> {
  const messages = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.COMMITTED,
    fallbackMode: 'earliest',
    maxWaitTime: fetchWaitMs,
    maxBytes,
    highWaterMark: readAhead,
  })
  messages.on('error', fail)
  messages.on('readable', () => undefined) // so that it fetches
  return messages
}

/** Messages that are there, after a wait for the first until `until` (`performance.now()`). */
export async function readMessages({ messages, failure }: KafkaMember, limit: number, until: number): Promise<Message[]> {
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
}

/** Reads from the committed offsets again. Nothing that was read ahead is given. */
export async function reopenMessages(member: KafkaMember, topic: string): Promise<void> {
  const before = member.messages
  // the first one still counts, so that the member does not join again
  const messages = openMessages(member.consumer, topic, (error) => member.messages.destroy(error as Error))
  member.messages = await answered(messages, 'that this process is still in the group')
  before.removeAllListeners('error').on('error', ignore)
  before.destroy()
}

/** If the brokers can be reached, the partitions are reassigned at once. Else its connections end nevertheless. */
export async function leaveGroup(consumer: Consumer): Promise<void> {
  await closeClient(consumer.close(true))
  void consumer.connections.close().catch(ignore)
}

/** A message as consumers give it. */
export function streamMessage({ id }: KafkaTopic, { partition, offset, value, timestamp }: Message): StreamMessage {
  return { id: `${id}-${partition}-${offset}`, body: value ?? null, atMs: Number(timestamp) }
}

function ignore(): void {}
