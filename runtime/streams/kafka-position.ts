import type { Message } from '@platformatic/kafka'
import { findErrorBy } from '@platformatic/kafka'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { timedOut } from '../async.ts'
import type { KafkaGeneration, KafkaMember } from './kafka-member.ts'
import type { KafkaReader } from './kafka-reader.ts'
import { committedOffsets } from './kafka-topic.ts'

/** Where a member is in its generation. */
export interface KafkaPosition {
  readonly member: KafkaMember
  readonly group: KafkaGeneration
  /** The offset of the next message, by partition. */
  readonly committed: Map<number, bigint>
}

/**
 * The position of this process. It is read in each generation and after each failure, once no transaction of the group
 * is open.
 */
export interface KafkaPositions {
  /**
   * @returns null: the group has not agreed, or a transaction of it is open, such as one of a process that was killed
   */
  read(): Promise<KafkaPosition | null>
  /** As it was read last; null: it has to be read again. */
  known(): KafkaPosition | null
  forget(): void
}

export function createKafkaPositions(reader: KafkaReader, from: KafkaStreamSpec): KafkaPositions {
  let known: KafkaPosition | null = null
  /** The generation in which each member began to read ahead what it has now. */
  const readIn = new WeakMap<KafkaMember, KafkaGeneration>()

  async function committedOf({ partitions }: KafkaGeneration): Promise<Map<number, bigint> | null> {
    if (partitions.size === 0) return new Map()
    try {
      return await committedOffsets(reader.admin(), from, partitions, { stable: true })
    } catch (error) {
      if (error instanceof Error && findErrorBy(error, 'apiId', 'UNSTABLE_OFFSET_COMMIT') !== null) return null
      throw error
    }
  }

  return {
    known: () => known,
    forget: () => void (known = null),
    async read() {
      const member = await reader.member()
      if (member === timedOut) return null
      if (member.failure() !== null) {
        await reader.end(member)
        throw member.failure()
      }
      const group = member.group()
      if (known?.member === member && known.group === group) return known
      const committed = await committedOf(group)
      if (committed === null) return null
      if (readIn.get(member) !== group) await reader.reread(member)
      readIn.set(member, group)
      known = { member, group, committed }
      return known
    },
  }
}

/** Whether a message is of a partition of this member, and not acknowledged. */
export function isDue({ group, committed }: KafkaPosition, { partition, offset }: Message): boolean {
  return group.partitions.has(partition) && offset >= (committed.get(partition) ?? 0n)
}
