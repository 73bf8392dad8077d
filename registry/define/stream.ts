import { LockstepError } from '../../kernel/errors.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { KafkaStreamSpec, NatsStreamSpec, RedisStreamSpec, StreamSpec } from '../../kernel/specs/stream-spec.ts'

const defaultField = 'data'

/** A stream as stated in a source. The name of its group defaults to one made from the source's name. */
export type StatedStream = (Omit<RedisStreamSpec, 'group'> | Omit<NatsStreamSpec, 'group'> | Omit<KafkaStreamSpec, 'group'>) & {
  readonly group: string | null
}

/**
 * A Redis Stream on the server of `LOCKSTEP_STREAM_REDIS_URL` that feeds a source.
 *
 * @param stream the key of the stream
 * @param options.field the field of each entry that holds its message, a row as JSON; default: `data`
 * @param options.group the consumer group; default: `lockstep_` and the source's name. Two installations of Lockstep
 *   that read the same stream need different groups
 * @example source('landings', { …, stream: redisStream('landings') })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`
 */
export function redisStream(stream: string, options: { readonly field?: string; readonly group?: string } = {}): StatedStream {
  return marked({
    kind: 'redis',
    stream: checkText(stream, 'The key of a Redis stream'),
    field: checkText(options.field ?? defaultField, `The field of Redis stream "${stream}"`),
    group: options.group === undefined ? null : checkGroup(options.group, `The group of Redis stream "${stream}"`),
  })
}

/**
 * A JetStream stream on the servers of `LOCKSTEP_NATS_URL` that feeds a source. You create the stream; Lockstep creates
 * a durable consumer on it.
 *
 * @param body.subject only messages of this subject, which may hold the wildcards `*` and `>`
 * @param body.group the name of the durable consumer; default: `lockstep_` and the source's name. Two installations of
 *   Lockstep that read the same stream need different groups
 * @example source('landings', { …, stream: natsStream({ stream: 'FLIGHTS', subject: 'flights.landed' }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`
 */
export function natsStream(body: { readonly stream: string; readonly subject?: string; readonly group?: string }): StatedStream {
  const stream = checkGroup(body.stream, 'A JetStream stream')
  return marked({
    kind: 'nats',
    stream,
    subject: body.subject === undefined ? null : checkSubject(body.subject, `The subject of JetStream stream "${stream}"`),
    group: body.group === undefined ? null : checkGroup(body.group, `The group of JetStream stream "${stream}"`),
  })
}

/**
 * A Kafka topic on the brokers of `LOCKSTEP_KAFKA_URL` that feeds a source. You create the topic.
 *
 * @param body.format of the messages: `json`, the default, or `avro`, with the schemas of the schema registry at
 *   `LOCKSTEP_SCHEMA_REGISTRY_URL`
 * @param body.group the consumer group; default: `lockstep_` and the source's name. Two installations of Lockstep that
 *   read the same topic need different groups
 * @example source('landings', { …, stream: kafkaStream({ topic: 'flights.landed' }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`
 */
export function kafkaStream(body: { readonly topic: string; readonly group?: string; readonly format?: 'json' | 'avro' }): StatedStream {
  const topic = checkTopic(body.topic)
  return marked({
    kind: 'kafka',
    stream: topic,
    group: body.group === undefined ? null : checkGroup(body.group, `The group of Kafka topic "${topic}"`),
    ...(checkFormat(body.format, topic) === 'avro' ? { format: 'avro' } : {}),
  })
}

/** A registered symbol, so that two copies of the package recognize each other's streams. */
const brand: unique symbol = Symbol.for('lockstep.stream') as never

function marked(stated: StatedStream): StatedStream {
  Object.defineProperty(stated, brand, { value: true, enumerable: false })
  return Object.freeze(stated)
}

/** @throws LockstepError `DEFINITIONS_INVALID` unless it is a result of `redisStream`, `natsStream` or `kafkaStream` */
export function streamSpec(stated: StatedStream, source: string): StreamSpec {
  if (typeof stated !== 'object' || stated === null || !(brand in stated)) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The source "${source}" has the stream ${show(stated)}; write redisStream('…'), natsStream({ stream: '…' }) or kafkaStream({ topic: '…' }).`,
    )
  }
  return Object.freeze({ ...stated, group: stated.group ?? `lockstep_${source}` })
}

export function checkText(text: unknown, what: string): string {
  if (typeof text === 'string' && text !== '') return text
  throw new LockstepError('DEFINITIONS_INVALID', `${what} is ${show(text)}; write a string that is not empty.`)
}

/** Checks the name of a group by the rules of NATS for streams and consumers. Redis and Kafka allow others. */
export function checkGroup(name: unknown, what: string): string {
  if (typeof name === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(name)) return name
  throw new LockstepError(
    'INVALID_NAME',
    `${what} cannot be called ${show(name)}; a name is 1 to 64 letters, digits, underscores and hyphens.`,
  )
}

export function checkSubject(subject: unknown, what: string): string {
  if (typeof subject === 'string' && /^[^\s.]+(\.[^\s.]+)*$/.test(subject)) return subject
  throw new LockstepError(
    'INVALID_NAME',
    `${what} is ${show(subject)}; write words separated by dots, as in "flights.landed" or "flights.>".`,
  )
}

/** Checks the name of a topic by the rules of Kafka. */
export function checkTopic(name: unknown): string {
  if (typeof name === 'string' && /^[A-Za-z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..') return name
  throw new LockstepError(
    'INVALID_NAME',
    `A Kafka topic cannot be called ${show(name)}; a name is 1 to 249 letters, digits, dots, underscores and hyphens.`,
  )
}

/** The format of the messages of a topic. */
export function checkFormat(format: unknown, topic: string): 'json' | 'avro' {
  if (format === undefined || format === 'json') return 'json'
  if (format === 'avro') return 'avro'
  throw new LockstepError('DEFINITIONS_INVALID', `The Kafka topic "${topic}" has the format ${show(format)}; write 'json' or 'avro'.`)
}
