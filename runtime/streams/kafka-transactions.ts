import type { Message } from '@platformatic/kafka'
import { Producer, findErrorBy } from '@platformatic/kafka'
import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaSinkSpec } from '../../kernel/specs/sink-spec.ts'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { orTimeout, withTimeout } from '../async.ts'
import type { AvroEncoder } from './avro-encoder.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import type { KafkaPosition } from './kafka-position.ts'
import { createKafkaPositions, isDue } from './kafka-position.ts'
import { readMessages, streamMessage } from './kafka-member.ts'
import { openKafkaReader } from './kafka-reader.ts'
import { isTooLarge, kafkaReason } from './kafka-reason.ts'
import { batchesOf, encoderOf, recordsOf } from './kafka-sink.ts'
import type { StreamConsumer, StreamConsumerOptions, StreamMessage } from './stream-consumer.ts'
import type { OutputMessage, StreamSink } from './stream-sink.ts'
import { messageTooLarge } from './stream-sink.ts'

const waitMs = 1_000
const endTimeoutMs = 2_000
/** The brokers end a transaction after 10 s, and the client tries each step for minutes. */
const stepTimeoutMs = 30_000
/** Enough for the brokers to end the transaction before. */
const retries = 15

/**
 * A Kafka topic that is read, and one that is written, so that readers of committed messages get each answer once. A
 * transaction holds answers and the offsets after the messages that they answer.
 *
 * The group fences processes that no longer have a partition (KIP-447): a transaction has the generation that the group
 * agreed on last, and brokers refuse an older one. So each process takes a transactional id of its own at random. It
 * keeps that id after a failure, when its next producer first ends what the one before left open.
 *
 * Brokers check the generation, but not which partitions a member has. So a transaction has only messages of partitions
 * of this member, from the committed offset on. That offset is read again in each generation and after each failure,
 * once no transaction of the group is open. It also says whether a commit without an answer happened.
 */
export function openKafkaTransactions(
  url: string,
  from: KafkaStreamSpec,
  to: KafkaSinkSpec,
  encoder: AvroEncoder | null,
  options: StreamConsumerOptions,
): { readonly consumer: StreamConsumer; readonly sink: StreamSink } {
  const reader = openKafkaReader(url, from, options)
  const positions = createKafkaPositions(reader, from)
  const { server } = kafkaClient(url)
  const transactionalId = `lockstep-${randomUUID()}`
  const encode = encoderOf(encoder)
  let producer: Producer | null = null
  /** The messages that were taken and not acknowledged, by their ids. */
  const held = new Map<string, Message>()

  async function take(limit: number): Promise<StreamMessage[]> {
    const until = performance.now() + waitMs
    const at = await positions.read()
    if (at === null) return []
    try {
      const taken = await readMessages(at.member, limit, until)
      // what was read ahead in an earlier generation is read again
      if (at.member.group() !== at.group || (await reader.endIfChanged(at.member))) return []
      for (const id of held.keys()) if (dueOf(at, [id]).size === 0) held.delete(id)
      return taken
        .filter((message) => isDue(at, message))
        .map((message) => {
          const given = streamMessage(at.member, message)
          held.set(given.id, message)
          return given
        })
    } catch (error) {
      await reader.end(at.member)
      throw error
    }
  }

  /** The messages that this process has to answer or to acknowledge, by their ids. */
  function dueOf(at: KafkaPosition, ids: readonly string[]): Map<string, Message> {
    const due = new Map<string, Message>()
    for (const id of ids) {
      const message = held.get(id)
      // a recreated topic has other ids
      if (message !== undefined && isDue(at, message) && streamMessage(at.member, message).id === id) due.set(id, message)
    }
    return due
  }

  /**
   * Acknowledges messages, and writes answers to them, in one transaction. Messages of partitions that other processes
   * have by now are left out.
   */
  async function transact(inputs: readonly string[], answers: readonly OutputMessage[]): Promise<void> {
    const known = positions.known()
    if (inputs.length === 0 || (known !== null && answers.length === 0 && dueOf(known, inputs).size === 0)) return
    const encoded = await encode()
    let transaction: Transaction | null = null
    try {
      // ends what an earlier producer left open
      transaction = await inTime('begin a transaction', openProducer().beginTransaction())
      const at = await reader.attempt(positions.read)
      if (at === null) throw new Error('The group has not agreed, or an earlier transaction has not ended')
      const due = dueOf(at, inputs)
      if (due.size === 0) return await transaction.cancel()
      // the client does only one of several calls at once
      for (const batch of batchesOf(answers.filter(({ input }) => due.has(input))))
        await inTime('take the answers', transaction.send(recordsOf(to, batch, encoded)))
      const after = await inTime('take the offsets', addOffsets(transaction, from.group, at, due.values()))
      await inTime('commit the transaction', transaction.commit())
      for (const [partition, next] of after) at.committed.set(partition, next)
    } catch (error) {
      positions.forget()
      if (transaction !== null) await orTimeout(transaction.abort(), endTimeoutMs).catch(ignore)
      await endProducer()
      throw error
    }
  }

  async function check(): Promise<void> {
    const { topics } = await inTime('describe the topic', openProducer().metadata({ topics: [to.stream] }))
    if (!topics.has(to.stream)) throw new Error('Unknown topic')
    try {
      await (await inTime('begin a transaction', openProducer().beginTransaction())).cancel()
    } catch (error) {
      // the client keeps a transaction that could not begin, and begins no other one
      await endProducer()
      throw error
    }
  }

  function openProducer(): Producer {
    return (producer ??= createProducer(url, transactionalId))
  }

  async function endProducer(): Promise<void> {
    const ending = producer
    producer = null
    if (ending !== null) await orTimeout(ending.close(true), endTimeoutMs).catch(ignore)
  }

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      if (cause instanceof LockstepError) throw cause
      if (isTooLarge(cause)) throw messageTooLarge(to, 'Raise max.message.bytes of the topic.', cause)
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(to)} at "${server}" cannot be written in transactions: ${kafkaReason(cause)}`,
        { cause },
      )
    }
  }

  return {
    consumer: {
      redeliverMs: options.redeliverMs,
      take: (limit) => reader.attempt(() => take(limit)),
      hasShare: () => Promise.resolve(reader.present() !== null),
      acknowledge(messages) {
        const ids = messages.map(({ id }) => id)
        return attempt(() => transact(ids, []))
      },
      // a member that the group hears of keeps its partitions
      extend: async () => undefined,
      lag: () => reader.attempt(reader.lag),
      close: reader.close,
    },
    sink: {
      async check() {
        await encoder?.check()
        await attempt(check)
      },
      produce(messages) {
        const inputs = messages.map(({ input }) => input)
        return attempt(() => transact(inputs, messages))
      },
      close: endProducer,
    },
  }
}

type Transaction = Awaited<ReturnType<Producer['beginTransaction']>>

function createProducer(url: string, transactionalId: string): Producer {
  return quieted(
    new Producer({
      ...kafkaClient(url).options,
      retries,
      retryDelay: (_client, _operation, attempt, _retries, error) =>
        findErrorBy(error, 'apiId', 'CONCURRENT_TRANSACTIONS') === null ? 250 : Math.min(250, 25 * attempt),
      idempotent: true,
      acks: -1,
      transactionalId,
      // the client would ask for its number by 0, which brokers refuse for an id that they know
      producerId: -1n,
      producerEpoch: -1,
    }),
  )
}

/** Adds the offsets after the messages to the transaction. @returns these, by partition */
async function addOffsets(
  transaction: Transaction,
  groupId: string,
  { member: { consumer }, group: { memberId, generationId } }: KafkaPosition,
  messages: Iterable<Message>,
): Promise<Map<number, bigint>> {
  await transaction.addConsumer(consumer)
  const last = new Map<number, Message>()
  for (const message of messages) {
    const before = last.get(message.partition)
    if (before === undefined || message.offset > before.offset) last.set(message.partition, message)
  }
  const inGroup = { groupId, memberId, generationId, coordinatorId: consumer.coordinatorId }
  const after = new Map<number, bigint>()
  for (const message of last.values()) {
    const next = consumer.offsetAfter(message)
    after.set(message.partition, next)
    // the client commits the offset after the one that it is given
    await transaction.addOffset({ ...message, offset: next - 1n, metadata: { ...message.metadata, consumer: inGroup } })
  }
  return after
}

async function inTime<T>(what: string, step: Promise<T>): Promise<T> {
  return await withTimeout(step, stepTimeoutMs, () => new Error(`the brokers did not ${what} within ${stepTimeoutMs / 1000} s`))
}

function ignore(): void {}
