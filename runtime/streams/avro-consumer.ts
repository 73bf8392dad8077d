import { LockstepError } from '../../kernel/errors.ts'
import type { AvroReader } from './avro-type.ts'
import { avroReader, notAvro } from './avro-type.ts'
import type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts'
import type { StreamConsumer, StreamMessage } from './stream-consumer.ts'

/** A byte that is 0, and the number of the schema: what Confluent's serializers write before a value. */
const headBytes = 5

/** Makes JSON of a message. */
export type AvroDecoder = (body: Uint8Array) => Promise<Uint8Array>

/**
 * @param limitBytes a longer message is not decoded
 * @returns a function that decodes messages in Avro, each by the schema that it was written with
 * @throws LockstepError (the function) `INVALID_EVENT` if the message is at fault, or the registry lacks its schema;
 *   `STREAM_UNAVAILABLE`
 */
export function createAvroDecoder(registry: SchemaRegistry, limitBytes: number): AvroDecoder {
  const readers = new WeakMap<RegisteredSchema, AvroReader>()
  return async (body) => {
    if (body.length > limitBytes)
      throw notAvro(`The message has ${body.length} bytes, over the limit of ${limitBytes}; raise LOCKSTEP_BODY_LIMIT_BYTES.`)
    if (body.length < headBytes || body[0] !== 0)
      throw notAvro(
        'The message is not Avro as the serializers of a schema registry write it: a byte 0, the number of its schema in four bytes, and the value. Correct the producer, or declare the format "json".',
      )
    const id = Buffer.from(body.subarray(1, headBytes)).readUInt32BE()
    const schema = await registry.schema(id)
    if (schema === null)
      throw new LockstepError(
        'INVALID_EVENT',
        `The message has the schema ${id}, which the schema registry at "${registry.server}" lacks. Register it there, or correct LOCKSTEP_SCHEMA_REGISTRY_URL.`,
        { details: { reason: 'unknown_schema', schemaId: id } },
      )
    let reader = readers.get(schema)
    if (reader === undefined) {
      reader = avroReader(schema)
      readers.set(schema, reader)
    }
    return reader(body.subarray(headBytes))
  }
}

/**
 * A stream of messages in Avro, given as JSON. While the registry is unavailable, what was taken is kept, and decoded
 * by a later call. A message that cannot be decoded says why.
 */
export function openAvroConsumer(consumer: StreamConsumer, decode: AvroDecoder): StreamConsumer {
  let taken: readonly StreamMessage[] = []
  const raw = new WeakMap<StreamMessage, StreamMessage>()

  async function decoded(message: StreamMessage): Promise<StreamMessage> {
    if (message.body === null) return message
    try {
      return { ...message, body: await decode(message.body) }
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'INVALID_EVENT') throw error
      return { ...message, failure: error }
    }
  }

  const rawOf = (messages: readonly StreamMessage[]): StreamMessage[] => messages.map((message) => raw.get(message) ?? message)

  return {
    redeliverMs: consumer.redeliverMs,
    async take(limit) {
      if (taken.length === 0) taken = await consumer.take(limit)
      const all: StreamMessage[] = []
      for (const message of taken) {
        const given = await decoded(message)
        raw.set(given, message)
        all.push(given)
      }
      taken = []
      return all
    },
    hasShare: async () => (await consumer.hasShare?.()) ?? true,
    acknowledge: (messages) => consumer.acknowledge(rawOf(messages)),
    extend: (messages) => consumer.extend(rawOf(messages)),
    lag: () => consumer.lag(),
    close: () => consumer.close(),
  }
}
