import type { Consumer, ConsumerInfo, JetStreamManager, JsMsg } from '@nats-io/jetstream'
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { withTimeout } from '../async.ts'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import { createNatsLink } from './nats-connection.ts'
import { createNatsPull } from './nats-pull.ts'
import type { StreamConsumer, StreamLag, StreamMessage, StreamConsumerOptions } from './stream-consumer.ts'
import type { NatsStreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'

const answerTimeoutMs = 3_000
const waitMs = 1_000
/** Once a message has come, how long others are waited for. */
const lullMs = 3
/** Messages that all processes together may hold at once. */
const maxUnacknowledged = 20_000

/**
 * A JetStream stream, read through a durable pull consumer that begins with the oldest message. The stream is the
 * user's to make.
 */
export function openNatsConsumer(url: string, spec: NatsStreamSpec, { redeliverMs }: StreamConsumerOptions): StreamConsumer {
  const server = new URL(url).host
  const link = createNatsLink(url)
  let consumer: Consumer | null = null
  /** The connection of `consumer`. */
  let connection: NatsConnection | null = null
  /** When the stream was made: a recreated stream starts a new sequence. */
  let created = ''
  const pull = createNatsPull()
  const held = new WeakMap<StreamMessage, JsMsg>()

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      pull.forget()
      consumer = null // it may be gone with its stream
      throw new LockstepError(
        'STREAM_UNAVAILABLE',
        `The ${streamName(spec)} at "${server}" cannot be read: ${withoutStop(cause)}. Check LOCKSTEP_NATS_URL, that the server runs with JetStream, and that the stream exists.`,
        { cause },
      )
    }
  }

  async function manager(): Promise<JetStreamManager> {
    return await jetstreamManager(await link.connected(), { timeout: answerTimeoutMs, checkAPI: false })
  }

  async function found(jsm: JetStreamManager): Promise<ConsumerInfo | null> {
    return await jsm.consumers.info(spec.stream, spec.group).catch((error: unknown) => {
      if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.ConsumerNotFound) throw error
      return null
    })
  }

  async function join(): Promise<Consumer> {
    const current = await link.connected()
    if (consumer !== null && connection === current) return consumer
    const jsm = await manager()
    created = Date.parse((await jsm.streams.info(spec.stream)).created).toString(36)
    const settings = {
      ack_wait: redeliverMs * 1e6,
      max_ack_pending: maxUnacknowledged,
      ...(spec.subject === null ? {} : { filter_subject: spec.subject }),
    }
    // one that is there keeps where it began
    if ((await found(jsm)) !== null) await jsm.consumers.update(spec.stream, spec.group, settings)
    else
      await jsm.consumers.add(spec.stream, {
        durable_name: spec.group,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ...settings,
      })
    consumer = await jetstream(current, { timeout: answerTimeoutMs }).consumers.get(spec.stream, spec.group)
    connection = current
    return consumer
  }

  return {
    redeliverMs,
    take: (limit) =>
      attempt(async () => {
        const from = await join()
        const taken: StreamMessage[] = []
        // Nobody has extended what arrived after the last call. After a long batch, others may have it.
        pull.endAfter(redeliverMs / 2)
        let until = performance.now() + waitMs
        while (taken.length < limit) {
          const come = await pull.next(() => from.fetch({ max_messages: limit, expires: waitMs }), until)
          if (come === null) break
          if (taken.length === 0) until = performance.now() + lullMs
          const message = { id: `${created}-${come.seq}`, body: come.data, atMs: come.info.timestampNanos / 1e6 }
          held.set(message, come)
          taken.push(message)
        }
        return taken
      }),
    acknowledge: (messages) =>
      attempt(async () => {
        for (const message of messages) held.get(message)?.ack()
        const nats = await link.connected()
        await withTimeout(nats.flush(), answerTimeoutMs, () => new Error('it does not answer'))
      }),
    extend: (messages) =>
      attempt(async () => {
        await link.connected()
        for (const message of messages) held.get(message)?.working()
      }),
    lag: () =>
      attempt(async (): Promise<StreamLag> => {
        const jsm = await manager()
        // asked first: what is deleted after that is not taken for unread
        const all = spec.subject === null ? (await jsm.streams.info(spec.stream)).state : null
        const known = await found(jsm)
        if (known !== null) {
          const last = known.delivered.stream_seq
          // of a subject, only the server knows which of the deleted messages it had
          const count = all === null ? 0 : all.first_seq - 1 - last
          const deleted = [{ count, place: `after ${last}` }]
          return { waiting: known.num_pending, pending: known.num_ack_pending, ...(count > 0 ? { deleted } : {}) }
        }
        if (spec.subject === null) return { waiting: all?.messages ?? 0, pending: 0 }
        const { state } = await jsm.streams.info(spec.stream, { subjects_filter: spec.subject })
        return { waiting: Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0), pending: 0 }
      }),
    async close() {
      await pull.giveBack(performance.now() + answerTimeoutMs)
      await link.close(waitMs)
    },
  }
}
