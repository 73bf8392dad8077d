import type { Message } from '@platformatic/kafka'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { timedOut, withTimeout } from '../async.ts'
import type { KafkaMember } from './kafka-member.ts'
import { readMessages, streamMessage } from './kafka-member.ts'
import { openKafkaReader } from './kafka-reader.ts'
import type { StreamConsumer, StreamConsumerOptions, StreamMessage } from './stream-consumer.ts'

const answerTimeoutMs = 10_000
const waitMs = 1_000

/**
 * A Kafka topic, read through a consumer group that begins with the oldest message. The topic is the user's to make.
 * The brokers give each partition to one member of the group, and to another once nothing was heard from that one for
 * `redeliverMs`. An acknowledgement covers what came before it in its partition, too.
 */
export function openKafkaConsumer(url: string, spec: KafkaStreamSpec, options: StreamConsumerOptions): StreamConsumer {
  const { stream: topic } = spec
  const reader = openKafkaReader(url, spec, options)
  const held = new WeakMap<StreamMessage, { readonly message: Message; readonly of: KafkaMember }>()
  /** By partition, the last acknowledged message whose offset is not committed yet. */
  let done = { of: null as KafkaMember | null, last: new Map<number, Message>() }

  function doneOf(member: KafkaMember): Map<number, Message> {
    if (done.of !== member) done = { of: member, last: new Map() }
    return done.last
  }

  async function commit(member: KafkaMember): Promise<void> {
    const last = doneOf(member)
    const mine = new Set(member.consumer.assignments?.flatMap(({ partitions }) => partitions))
    // who has the partition now gets its messages again, and commits them
    for (const partition of last.keys()) if (!mine.has(partition)) last.delete(partition)
    if (last.size === 0) return
    const all = [...last.values()]
    const { consumer } = member
    const offsets = all.map((each) => {
      const { partition, leaderEpoch } = each
      return { topic, partition, offset: consumer.offsetAfter(each), leaderEpoch }
    })
    await withTimeout(consumer.commit({ offsets }), answerTimeoutMs, () => new Error('it does not answer'))
    for (const message of all) if (last.get(message.partition) === message) last.delete(message.partition)
  }

  return {
    redeliverMs: options.redeliverMs,
    take: (limit) =>
      reader.attempt(async () => {
        const until = performance.now() + waitMs
        const member = await reader.member()
        if (member === timedOut) return []
        try {
          // what could not be committed before: nothing gives its messages again to a member that stays
          await commit(member)
          const taken = await readMessages(member, limit, until)
          if (await reader.endIfChanged(member)) return []
          return taken.map((message) => {
            const given = streamMessage(member, message)
            held.set(given, { message, of: member })
            return given
          })
        } catch (error) {
          await reader.end(member)
          throw error
        }
      }),
    hasShare: () => Promise.resolve(reader.present() !== null),
    acknowledge: (messages) =>
      reader.attempt(async () => {
        const member = reader.present()
        if (member === null) return
        const all = doneOf(member)
        for (const each of messages) {
          const { message, of } = held.get(each) ?? {}
          // of an earlier membership: they come again, to whom has their partition now
          if (message === undefined || of !== member) continue
          const last = all.get(message.partition)
          if (last === undefined || message.offset > last.offset) all.set(message.partition, message)
        }
        await commit(member)
      }),
    // a member that the group hears of keeps its partitions
    extend: async () => undefined,
    lag: () => reader.attempt(reader.lag),
    close: reader.close,
  }
}
