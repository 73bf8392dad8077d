import type { Admin, Consumer } from '@platformatic/kafka'
import { FetchIsolationLevels, ListOffsetTimestamps } from '@platformatic/kafka'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { withTimeout } from '../async.ts'
import { answerTimeoutMs } from './kafka-client.ts'
import type { DeletedMessages, StreamLag } from './stream-consumer.ts'

export interface KafkaTopic {
  /** A recreated topic has another one. */
  readonly id: string
  readonly partitionsCount: number
}

export async function describeTopic(client: Consumer | Admin, topic: string): Promise<KafkaTopic> {
  const metadata = await answered(client.metadata({ topics: [topic] }), 'which partitions the topic has')
  const found = metadata.topics.get(topic)
  if (found === undefined) throw new Error('the topic does not exist')
  return found
}

/** The messages that the group has not committed, and those that were deleted before. */
export async function topicLag(admin: Admin, spec: KafkaStreamSpec): Promise<StreamLag> {
  const { id, partitionsCount } = await describeTopic(admin, spec.stream)
  const partitions = Array.from({ length: partitionsCount }, (_, i) => i)
  const [ends, starts, committed] = await Promise.all([
    boundsOf(admin, spec.stream, partitions, ListOffsetTimestamps.LATEST),
    boundsOf(admin, spec.stream, partitions, ListOffsetTimestamps.EARLIEST),
    committedOffsets(admin, spec, partitions),
  ])
  let waiting = 0n
  const deleted: DeletedMessages[] = []
  for (const i of partitions) {
    const [begin, committedOffset, last] = [starts.get(i) ?? 0n, committed.get(i) ?? -1n, ends.get(i) ?? 0n]
    const from = committedOffset > begin ? committedOffset : begin
    if (last > from) waiting += last - from
    if (committedOffset >= 0n && committedOffset < begin)
      deleted.push({ count: Number(begin - committedOffset), place: `${id}-${i}-${committedOffset}` })
  }
  // which of them a member has been given, the brokers do not know
  return { waiting: Number(waiting), pending: 0, ...(deleted.length > 0 ? { deleted } : {}) }
}

/** The first or the last offset of each partition. */
async function boundsOf(admin: Admin, name: string, indices: readonly number[], timestamp: bigint): Promise<Map<number, bigint>> {
  const partitions = indices.map((partitionIndex) => ({ partitionIndex, timestamp }))
  const listed = admin.listOffsets({ topics: [{ name, partitions }], isolationLevel: FetchIsolationLevels.READ_COMMITTED })
  const found = await answered(listed, 'how many messages the topic has')
  return new Map(found.flatMap(({ partitions }) => partitions).map(({ partitionIndex, offset }) => [partitionIndex, offset]))
}

/** @param stable whether offsets of transactions that have not ended are waited for */
export async function committedOffsets(
  admin: Admin,
  { stream: topic, group }: KafkaStreamSpec,
  partitions: Iterable<number>,
  { stable = false }: { readonly stable?: boolean } = {},
): Promise<Map<number, bigint>> {
  const groups = [{ groupId: group, topics: [{ name: topic, partitionIndexes: [...partitions] }] }]
  const found = await answered(admin.listConsumerGroupOffsets({ groups, requireStable: stable }), 'which offsets the group has committed')
  const all = found.flatMap(({ topics }) => topics).flatMap(({ partitions }) => partitions)
  return new Map(all.map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]))
}

/** The client tries again for minutes, and a caller waits for seconds. */
export async function answered<T>(answer: Promise<T>, what: string): Promise<T> {
  return await withTimeout(answer, answerTimeoutMs, () => new Error(`the brokers did not say within ${answerTimeoutMs / 1000} s ${what}`))
}
