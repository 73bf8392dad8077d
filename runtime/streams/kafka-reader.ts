import type { Consumer, Message, MessagesStream } from '@platformatic/kafka'
import { Admin, FetchIsolationLevels, ListOffsetTimestamps, MessagesStreamModes } from '@platformatic/kafka'
import { once } from 'node:events'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaStreamSpec } from '../../kernel/stream-spec.ts'
import { streamName } from '../../kernel/stream-spec.ts'
import { orTimeout, timedOut, withTimeout } from '../async.ts'
import { CommittedConsumer } from './kafka-aborted.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import { kafkaReason } from './kafka-reason.ts'
import type { DeletedMessages, StreamConsumerOptions, StreamLag, StreamMessage } from './stream-consumer.ts'

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
  /**
   * The membership in use. @returns timedOut: the group has not agreed within a second
   * @throws Error if the group has not agreed for so long that the next call joins as a new member
   */
  member(): Promise<KafkaMember | typeof timedOut>
  /** The membership in use; null: there is none, or the group has not agreed on it. */
  present(): KafkaMember | null
  /** Messages that are there, after a wait for the first until `until` (`performance.now()`). */
  read(member: KafkaMember, limit: number, until: number): Promise<Message[]>
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
  const rebalanceMs = redeliverMs * 2
  /** A group waits once for its members to join, and again if one of them is lost before it has its partitions. */
  const joinTimeoutMs = rebalanceMs + redeliverMs + rebalanceMs + answerTimeoutMs
  /** Certificates are read again each time, as replaced ones count from the next connection on. */
  const client = () => ({
    ...kafkaClient(url).options,
    // a group answers a member that joins once the others have joined, or after `rebalanceMs` without them
    requestTimeout: rebalanceMs + answerTimeoutMs,
    metadataMaxAge: metadataMaxAgeMs,
  })
  let joining: { readonly consumer: CommittedConsumer; readonly member: Promise<KafkaMember> } | null = null
  let present: KafkaMember | null = null
  let administering: Admin | null = null
  let isClosed = false

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      const failed = administering
      administering = null
      if (failed !== null) await closed(failed.close())
      if (cause instanceof LockstepError) throw cause
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${server}" cannot be read by the group "${groupId}": ${kafkaReason(cause)}`,
        { cause },
      )
    }
  }

  function createConsumer(): CommittedConsumer {
    return quieted(
      new CommittedConsumer({
        ...client(),
        groupId,
        sessionTimeout: redeliverMs,
        rebalanceTimeout: rebalanceMs,
        heartbeatInterval: Math.min(heartbeatMs, Math.ceil(redeliverMs / 4)),
        autocommit: false,
      }),
    )
  }

  async function join(consumer: CommittedConsumer): Promise<KafkaMember> {
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
      const messages = await withTimeout(
        messagesOf(consumer, fail),
        joinTimeoutMs,
        () => new Error(`the group did not agree on its members within ${joinTimeoutMs / 1000} s. This process joins it again`),
      )
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
    const metadata = await answered(of.metadata({ topics: [topic] }), 'which partitions the topic has')
    const found = metadata.topics.get(topic)
    if (found === undefined) throw new Error('the topic does not exist')
    return found
  }

  async function end(member: KafkaMember): Promise<void> {
    if (present === member) joining = present = null
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
    present: () => present,
    async member() {
      if (joining === null) {
        const consumer = createConsumer()
        joining = { consumer, member: join(consumer) }
      }
      const mine = joining
      try {
        // joining takes as long as the group needs to agree, longer than a call may wait
        const member = await orTimeout(mine.member, waitMs)
        if (member !== timedOut && joining === mine) present = member
        return member
      } catch (error) {
        if (joining === mine) joining = null
        throw error
      }
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
      const messages = messagesOf(member.consumer, (error) => member.messages.destroy(error as Error))
      try {
        member.messages = await answered(messages, 'that this process is still in the group')
      } catch (error) {
        await end(member)
        throw error
      }
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
      const { id, partitionsCount } = await topicOf(admin())
      const indices = Array.from({ length: partitionsCount }, (_, i) => i)
      const bound = async (timestamp: bigint): Promise<Map<number, bigint>> => {
        const partitions = indices.map((partitionIndex) => ({ partitionIndex, timestamp }))
        const isolationLevel = FetchIsolationLevels.READ_COMMITTED
        const listed = admin().listOffsets({ topics: [{ name: topic, partitions }], isolationLevel })
        const found = await answered(listed, 'how many messages the topic has')
        return new Map(found.flatMap(({ partitions }) => partitions).map(({ partitionIndex, offset }) => [partitionIndex, offset]))
      }
      const [ends, starts, done] = await Promise.all([
        bound(ListOffsetTimestamps.LATEST),
        bound(ListOffsetTimestamps.EARLIEST),
        committedOffsets(admin(), spec, indices),
      ])
      let waiting = 0n
      const deleted: DeletedMessages[] = []
      for (const i of indices) {
        const [begin, committedOffset, last] = [starts.get(i) ?? 0n, done.get(i) ?? -1n, ends.get(i) ?? 0n]
        const from = committedOffset > begin ? committedOffset : begin
        if (last > from) waiting += last - from
        if (committedOffset >= 0n && committedOffset < begin)
          deleted.push({ count: Number(begin - committedOffset), place: `${id}-${i}-${committedOffset}` })
      }
      // which of them a member has been given, the brokers do not know
      return { waiting: Number(waiting), pending: 0, ...(deleted.length > 0 ? { deleted } : {}) }
    },
    async close() {
      if (isClosed) return
      isClosed = true
      // a group may take longer to agree than a process has to end
      if (joining !== null && (await orTimeout(joining.member.then(end, ignore), closeTimeoutMs)) === timedOut)
        await leave(joining.consumer)
      if (administering !== null) await closed(administering.close())
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
  const found = await answered(admin.listConsumerGroupOffsets({ groups, requireStable: stable }), 'which offsets the group has committed')
  const all = found.flatMap(({ topics }) => topics).flatMap(({ partitions }) => partitions)
  return new Map(all.map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]))
}

/** A message as consumers give it. */
export function streamMessage({ id }: KafkaMember, { partition, offset, value, timestamp }: Message): StreamMessage {
  return { id: `${id}-${partition}-${offset}`, body: value ?? null, atMs: Number(timestamp) }
}

/** If the brokers can be reached, the partitions are reassigned at once. Else its connections end nevertheless. */
async function leave(consumer: Consumer): Promise<void> {
  await closed(consumer.close(true))
  void consumer.connections.close().catch(ignore)
}

/** Waits for a client to close for as long as a connection may take to open. Its failure is ignored. */
async function closed(closing: Promise<unknown>): Promise<void> {
  await orTimeout(closing, connectTimeoutMs).catch(ignore)
}

/** The client tries again for minutes, and a caller waits for seconds. */
async function answered<T>(answer: Promise<T>, what: string): Promise<T> {
  return await withTimeout(answer, answerTimeoutMs, () => new Error(`the brokers did not say within ${answerTimeoutMs / 1000} s ${what}`))
}

function ignore(): void {}
