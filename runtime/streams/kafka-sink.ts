import { Producer, compatibilityPartitioner } from '@platformatic/kafka'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaSinkSpec } from '../../kernel/specs/sink-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { orTimeout } from '../async.ts'
import type { AvroEncoder } from './avro-encoder.ts'
import { kafkaClient, quieted } from './kafka-client.ts'
import { isTooLarge, kafkaReason } from './kafka-reason.ts'
import type { OutputMessage, StreamSink } from './stream-sink.ts'
import { idHeader, messageTooLarge } from './stream-sink.ts'

const closeTimeoutMs = 2_000
/** Brokers allow a batch as many bytes as one message, 1 MB unless it is set. */
const maxBatchBytes = 512 * 1024

/**
 * A Kafka topic, which is the user's to make, written by an idempotent producer. Messages of one key go to one
 * partition, the one that clients of Java choose, too. The brokers drop what this producer repeats within a call; a
 * message that is produced again later is there twice, with the same id.
 */
export function openKafkaSink(url: string, spec: KafkaSinkSpec, encoder: AvroEncoder | null): StreamSink {
  const { stream: topic } = spec
  const { server } = kafkaClient(url)
  const encode = encoderOf(encoder)
  let producer: Producer | null = null

  function opened(): Producer {
    if (producer !== null) return producer
    // certificates are read again; a new producer asks for its number by -1; the client would ask by 0, which brokers
    // may refuse
    producer = quieted(new Producer({ ...kafkaClient(url).options, idempotent: true, acks: -1, producerId: -1n, producerEpoch: -1 }))
    return producer
  }

  async function attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      // its sequence numbers may be out of step with the brokers'
      await end()
      if (isTooLarge(cause)) throw messageTooLarge(spec, 'Raise max.message.bytes of the topic.', cause)
      throw new LockstepError('STREAM_UNAVAILABLE', `The ${streamName(spec)} at "${server}" cannot be written: ${kafkaReason(cause)}`, {
        cause,
      })
    }
  }

  async function end(): Promise<void> {
    const ending = producer
    producer = null
    if (ending !== null) await orTimeout(ending.close(true), closeTimeoutMs).catch(() => undefined)
  }

  return {
    async check() {
      await encoder?.check()
      await attempt(async () => {
        const { topics } = await opened().metadata({ topics: [topic] })
        if (!topics.has(topic)) throw new Error('Unknown topic')
      })
    },
    async produce(messages) {
      const encoded = await encode()
      await attempt(async () => {
        for (const batch of batchesOf(messages)) await opened().send(recordsOf(spec, batch, encoded))
      })
    },
    close: end,
  }
}

type Encode = (value: string) => Buffer

export function encoderOf(encoder: AvroEncoder | null): () => Promise<Encode> {
  return async () => (encoder === null ? (value) => Buffer.from(value) : await encoder.encoder())
}

export function recordsOf({ stream: topic }: KafkaSinkSpec, messages: readonly OutputMessage[], encode: Encode) {
  return {
    partitioner: compatibilityPartitioner,
    messages: messages.map(({ id, key, value }) => ({
      topic,
      key: Buffer.from(key),
      value: encode(value),
      headers: new Map([[Buffer.from(idHeader), Buffer.from(id)]]),
    })),
  }
}

/** In their order. A message that is larger than a batch should be is one alone. */
export function* batchesOf(messages: readonly OutputMessage[]): Generator<OutputMessage[]> {
  let [batch, bytes]: [OutputMessage[], number] = [[], 0]
  for (const message of messages) {
    const size = Buffer.byteLength(message.value) + Buffer.byteLength(message.key) + message.id.length
    if (batch.length > 0 && bytes + size > maxBatchBytes) {
      yield batch
      ;[batch, bytes] = [[], 0]
    }
    batch.push(message)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
