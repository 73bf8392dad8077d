import { Admin, ListOffsetTimestamps } from '@platformatic/kafka'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import { kafkaReason } from './kafka-reason.ts'
import type { GroupStart, StreamGroup } from './stream-group.ts'
import { wrongPosition } from './stream-group.ts'

export function kafkaGroup(url: string, spec: KafkaStreamSpec): StreamGroup {
  return {
    begin: (start) => beginGroup(url, spec, start),
    end: () => withAdmin(url, spec, 'deleted', (admin) => admin.deleteGroups({ groups: [spec.group] })),
  }
}

/** Commits offsets for a group without members. */
async function beginGroup(url: string, spec: KafkaStreamSpec, start: GroupStart): Promise<void> {
  const { stream: topic, group } = spec
  const given = 'position' in start ? offsetsOf(spec, start.position) : null
  await withAdmin(url, spec, 'set', async (admin) => {
    const { topics } = await admin.metadata({ topics: [topic] })
    const found = topics.get(topic)
    if (found === undefined) throw new Error('Unknown topic')
    const indices = Array.from({ length: found.partitionsCount }, (_, i) => i)
    const beyond = [...(given?.keys() ?? [])].find((partition) => partition >= indices.length)
    if (beyond !== undefined && 'position' in start)
      throw wrongPosition(spec, start.position, `partitions below ${indices.length}, as in 0:1234`)
    const at = async (timestamp: bigint): Promise<Map<number, bigint>> => {
      const partitions = indices.map((partitionIndex) => ({ partitionIndex, timestamp }))
      const listed = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
      return new Map(listed.flatMap(({ partitions: each }) => each).map(({ partitionIndex, offset }) => [partitionIndex, offset]))
    }
    const [ends, wanted] = [
      await at(ListOffsetTimestamps.LATEST),
      'atMs' in start && start.atMs > 0 ? await at(BigInt(Math.ceil(start.atMs))) : await at(ListOffsetTimestamps.EARLIEST),
    ]
    const partitionOffsets = indices.map((partition) => {
      // of a partition without a message since then, the brokers say -1
      const offset = given?.get(partition) ?? wanted.get(partition) ?? -1n
      return { partition, offset: offset < 0n ? (ends.get(partition) ?? 0n) : offset }
    })
    await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] })
  })
}

async function withAdmin(url: string, spec: KafkaStreamSpec, change: string, action: (admin: Admin) => Promise<void>): Promise<void> {
  const { server, options } = kafkaClient(url)
  const admin = quieted(new Admin(options))
  try {
    await action(admin)
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError(
      'STREAM_UNAVAILABLE',
      `The group "${spec.group}" of the ${streamName(spec)} at "${server}" cannot be ${change}: ${kafkaReason(cause)}`,
      { cause },
    )
  } finally {
    await admin.close().catch(() => undefined)
  }
}

/** `0:1234,1:99`: partitions that are not named begin at their start. */
function offsetsOf(spec: KafkaStreamSpec, position: string): Map<number, bigint> {
  const parts = position.split(',').map((part) => /^\s*(\d{1,9}):(\d{1,18})\s*$/.exec(part))
  const offsets = parts.flatMap((part) => (part === null ? [] : [[Number(part[1]), BigInt(part[2] as string)] as const]))
  if (offsets.length !== parts.length) throw wrongPosition(spec, position, 'offsets of partitions, as in 0:1234,1:99')
  return new Map(offsets)
}
