import type { Message } from '@platformatic/kafka'
import { Producer, findErrorBy } from '@platformatic/kafka'
import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaSinkSpec } from '../../kernel/sink-spec.ts'
import type { KafkaStreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'
import { orTimeout, timedOut } from '../async.ts'
import type { AvroEncoder } from './avro-encoder.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import type { KafkaGeneration, KafkaMember } from './kafka-reader.ts'
import { committedOffsets, streamMessage, openKafkaReader } from './kafka-reader.ts'
import { isTooLarge, kafkaReason } from './kafka-reason.ts'
import { batchesOf, encoderOf, recordsOf } from './kafka-sink.ts'
import type { StreamConsumer, StreamConsumerOptions } from './stream-consumer.ts'
import type { OutputMessage, StreamSink } from './stream-sink.ts'
import { messageTooLarge } from './stream-sink.ts'

const waitMs = 1_000
const endTimeoutMs = 2_000
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
  const { server } = kafkaClient(url)
  const transactionalId = `lockstep-${randomUUID()}`
  const encode = encoderOf(encoder)
  let producer: Producer | null = null
  /** The messages that were taken last, by their ids. */
  let held: ReadonlyMap<string, Message> = new Map()
  let known: Position | null = null
  /** The generation in which each member began to read ahead what it has now. */
  const readIn = new WeakMap<KafkaMember, KafkaGeneration>()

  function opened(): Producer {
    producer ??= quieted(
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
    return producer
  }

  /**
   * @returns null: the group has not agreed, or a transaction of it is open, such as one of a process that was killed
   */
  async function position(): Promise<Position | null> {
    const member = await reader.member()
    if (member === timedOut) return null
    if (member.failure() !== null) {
      await reader.end(member)
      throw member.failure()
    }
    const group = member.group()
    if (known?.member === member && known.group === group) return known
    let committed: Map<number, bigint>
    try {
      committed = group.partitions.size === 0 ? new Map() : await committedOffsets(reader.admin(), from, group.partitions, { stable: true })
    } catch (error) {
      if (error instanceof Error && findErrorBy(error, 'apiId', 'UNSTABLE_OFFSET_COMMIT') !== null) return null
      throw error
    }
    if (readIn.get(member) !== group) await reader.reread(member)
    readIn.set(member, group)
    known = { member, group, committed }
    return known
  }

  function isDue({ group, committed }: Position, { partition, offset }: Message): boolean {
    return group.partitions.has(partition) && offset >= (committed.get(partition) ?? 0n)
  }

  /** The ids of messages that this process has to answer or to acknowledge, with the messages. */
  function dueOf(at: Position, ids: readonly string[]): Map<string, Message> {
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
    if (inputs.length === 0 || (known !== null && answers.length === 0 && dueOf(known, inputs).size === 0)) return
    const encoded = await encode()
    let transaction: Awaited<ReturnType<Producer['beginTransaction']>> | null = null
    try {
      // ends what an earlier producer left open
      transaction = await opened().beginTransaction()
      const at = await position()
      if (at === null) throw new Error('The group has not agreed, or an earlier transaction has not ended')
      const due = dueOf(at, inputs)
      if (due.size === 0) return await transaction.cancel()
      // the client does only one of several calls at once
      for (const batch of batchesOf(answers.filter(({ input }) => due.has(input)))) await transaction.send(recordsOf(to, batch, encoded))
      await transaction.addConsumer(at.member.consumer)
      const last = new Map<number, Message>()
      for (const message of due.values()) {
        const before = last.get(message.partition)
        if (before === undefined || message.offset > before.offset) last.set(message.partition, message)
      }
      const { memberId, generationId } = at.group
      const consumer = { groupId: from.group, memberId, generationId, coordinatorId: at.member.consumer.coordinatorId }
      const after = new Map<number, bigint>()
      for (const message of last.values()) {
        const next = at.member.consumer.offsetAfter(message)
        after.set(message.partition, next)
        // the client commits the offset after the one that it is given
        await transaction.addOffset({ ...message, offset: next - 1n, metadata: { ...message.metadata, consumer } })
      }
      await transaction.commit()
      for (const [partition, next] of after) at.committed.set(partition, next)
    } catch (error) {
      known = null
      if (transaction !== null) await orTimeout(transaction.abort(), endTimeoutMs).catch(ignore)
      await endProducer()
      throw error
    }
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
      take: (limit) =>
        reader.attempt(async () => {
          const until = performance.now() + waitMs
          const at = await position()
          if (at === null) return []
          try {
            const taken = await reader.read(at.member, limit, until)
            // what was read ahead in an earlier generation is read again
            if (at.member.group() !== at.group || (await reader.endIfChanged(at.member))) return []
            const due = taken
              .filter((message) => isDue(at, message))
              .map((message) => [streamMessage(at.member, message), message] as const)
            if (due.length > 0) held = new Map(due.map(([{ id }, message]) => [id, message]))
            return due.map(([given]) => given)
          } catch (error) {
            await reader.end(at.member)
            throw error
          }
        }),
      acknowledge: (messages) =>
        attempt(() =>
          transact(
            messages.map(({ id }) => id),
            [],
          ),
        ),
      // a member that the group hears of keeps its partitions
      extend: async () => undefined,
      lag: () => reader.attempt(reader.lag),
      close: reader.close,
    },
    sink: {
      async check() {
        await encoder?.check()
        await attempt(async () => {
          const { topics } = await opened().metadata({ topics: [to.stream] })
          if (!topics.has(to.stream)) throw new Error('Unknown topic')
          try {
            await (await opened().beginTransaction()).cancel()
          } catch (error) {
            // the client keeps a transaction that could not begin, and begins no other one
            await endProducer()
            throw error
          }
        })
      },
      produce: (messages) =>
        attempt(() =>
          transact(
            messages.map(({ input }) => input),
            messages,
          ),
        ),
      close: endProducer,
    },
  }
}

/** Where a member is in its generation. */
interface Position {
  readonly member: KafkaMember
  readonly group: KafkaGeneration
  /** The offset of the next message, by partition. */
  readonly committed: Map<number, bigint>
}

function ignore(): void {}
