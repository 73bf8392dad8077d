import { Admin } from '@platformatic/kafka'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { orTimeout, timedOut } from '../async.ts'
import { CommittedConsumer } from './kafka-aborted.ts'
import { answerTimeoutMs, closeClient, kafkaClient, quieted } from './kafka-client.ts'
import type { KafkaMember } from './kafka-member.ts'
import { joinGroup, leaveGroup, reopenMessages } from './kafka-member.ts'
import { kafkaReason } from './kafka-reason.ts'
import { describeTopic, topicLag } from './kafka-topic.ts'
import type { StreamConsumerOptions, StreamLag } from './stream-consumer.ts'

const joinWaitMs = 1_000
/** How old the knowledge of a topic's partitions may be. */
const metadataMaxAgeMs = 5_000
const heartbeatMs = 3_000
const closeTimeoutMs = 5_000

/** The membership of this process in the group of a topic: it joins when it must, and again after it has ended. */
export interface KafkaReader {
  /**
   * The membership in use. @returns timedOut: the group has not agreed within a second
   * @throws Error if the group has not agreed for so long that the next call joins as a new member
   */
  member(): Promise<KafkaMember | typeof timedOut>
  /** The membership in use; null: there is none, or the group has not agreed on it. */
  present(): KafkaMember | null
  /** Reads from the committed offsets again. Nothing that was read ahead is given. Ends the membership if it fails. */
  reread(member: KafkaMember): Promise<void>
  /** Ends the membership if the topic was deleted and recreated, or has more partitions. @returns whether it did */
  endIfChanged(member: KafkaMember): Promise<boolean>
  /** Ends the membership: the next call of `member` joins again, unless another membership has begun. */
  end(member: KafkaMember): Promise<void>
  admin(): Admin
  lag(): Promise<StreamLag>
  /** @throws LockstepError `STREAM_UNAVAILABLE` for what fails */
  attempt<T>(action: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

export function openKafkaReader(url: string, spec: KafkaStreamSpec, { redeliverMs }: StreamConsumerOptions): KafkaReader {
  const { stream: topic, group: groupId } = spec
  const { server } = kafkaClient(url)
  const rebalanceMs = redeliverMs * 2
  /** A group waits once for its members to join, and again if one of them is lost before it has its partitions. */
  const joinTimeoutMs = rebalanceMs + redeliverMs + rebalanceMs + answerTimeoutMs
  let joining: { readonly consumer: CommittedConsumer; readonly member: Promise<KafkaMember> } | null = null
  let present: KafkaMember | null = null
  let administering: Admin | null = null
  let isClosed = false

  /** Certificates are read again each time, as replaced ones count from the next connection on. */
  function clientOptions() {
    return {
      ...kafkaClient(url).options,
      // a group answers a member that joins once the others have joined, or after `rebalanceMs` without them
      requestTimeout: rebalanceMs + answerTimeoutMs,
      metadataMaxAge: metadataMaxAgeMs,
    }
  }

  function createConsumer(): CommittedConsumer {
    return quieted(
      new CommittedConsumer({
        ...clientOptions(),
        groupId,
        sessionTimeout: redeliverMs,
        rebalanceTimeout: rebalanceMs,
        heartbeatInterval: Math.min(heartbeatMs, Math.ceil(redeliverMs / 4)),
        autocommit: false,
      }),
    )
  }

  function admin(): Admin {
    administering ??= quieted(new Admin(clientOptions()))
    return administering
  }

  async function end(member: KafkaMember): Promise<void> {
    if (present === member) joining = present = null
    member.messages.destroy()
    await leaveGroup(member.consumer)
  }

  return {
    admin,
    end,
    present: () => present,
    async member() {
      if (joining === null) {
        const consumer = createConsumer()
        joining = { consumer, member: joinGroup(consumer, topic, joinTimeoutMs) }
      }
      const mine = joining
      try {
        // joining takes as long as the group needs to agree, longer than a call may wait
        const member = await orTimeout(mine.member, joinWaitMs)
        if (member !== timedOut && joining === mine) present = member
        return member
      } catch (error) {
        if (joining === mine) joining = null
        throw error
      }
    },
    async reread(member) {
      try {
        await reopenMessages(member, topic)
      } catch (error) {
        await end(member)
        throw error
      }
    },
    async endIfChanged(member) {
      const { id, partitionsCount } = await describeTopic(member.consumer, topic)
      if (id === member.id && partitionsCount === member.partitionsCount) return false
      await end(member)
      return true
    },
    lag: () => topicLag(admin(), spec),
    async attempt(action) {
      try {
        return await action()
      } catch (cause) {
        const failed = administering
        administering = null
        if (failed !== null) await closeClient(failed.close())
        if (cause instanceof LockstepError) throw cause
        throw new LockstepError(
          'STREAM_UNAVAILABLE',
          `The ${streamName(spec)} at "${server}" cannot be read by the group "${groupId}": ${kafkaReason(cause)}`,
          { cause },
        )
      }
    },
    async close() {
      if (isClosed) return
      isClosed = true
      // a group may take longer to agree than a process has to end
      if (
        joining !== null &&
        (await orTimeout(
          joining.member.then(end, () => undefined),
          closeTimeoutMs,
        )) === timedOut
      )
        await leaveGroup(joining.consumer)
      if (administering !== null) await closeClient(administering.close())
    },
  }
}
