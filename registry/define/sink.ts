import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { KafkaSinkSpec, NatsSinkSpec, RedisSinkSpec, SinkSpec } from '../../kernel/specs/sink-spec.ts'
import { show } from '../../kernel/values/value-type.ts'
import { checkOptions } from './definition.ts'
import { checkFormat, checkGroup, checkSubject, checkText, checkTopic } from './stream.ts'

const defaultWindow = '1d'

/**
 * A Redis Stream on the server of `LOCKSTEP_STREAM_REDIS_URL` that a pipeline writes to.
 *
 * @param stream the key of the stream
 * @param options.field the field of each entry that holds the answer; default: `data`
 * @param options.maxLength about how many entries the stream keeps; default: all
 * @param options.window how long an id is known, so that no answer is written twice: `'1d'`. It has no effect where the
 *   pipeline reads a stream of the same server
 * @example pipeline('score_flights', { …, to: redisSink('scores', { maxLength: 1_000_000 }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_DURATION`
 */
export function redisSink(
  stream: string,
  options: { readonly field?: string; readonly maxLength?: number; readonly window?: string } = {},
): RedisSinkSpec {
  const what = `The sink of Redis stream ${show(stream)}`
  checkOptions(options, what, ['field', 'maxLength', 'window'])
  const { field = 'data', maxLength = null, window = defaultWindow } = options
  if (maxLength !== null && !(Number.isSafeInteger(maxLength) && maxLength >= 1))
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has the maxLength ${show(maxLength)}; write a whole number from 1 on.`)
  const windowSeconds = parseDuration(window, `The window of Redis stream ${show(stream)}`) / 1_000_000
  if (!Number.isSafeInteger(windowSeconds) || windowSeconds < 60)
    throw new LockstepError('DEFINITIONS_INVALID', `${what} has the window ${show(window)}; write whole seconds, at least "60s".`)
  return marked({
    kind: 'redis',
    stream: checkText(stream, 'The key of a Redis stream'),
    field: checkText(field, `The field of Redis stream "${stream}"`),
    maxLength,
    windowSeconds,
  })
}

/**
 * A JetStream stream on the servers of `LOCKSTEP_NATS_URL` that a pipeline writes to. You create the stream, with a
 * duplicate window that is longer than the longest outage that you expect.
 *
 * @param body.subject the subject of the answers, which the stream takes
 * @example pipeline('score_flights', { …, to: natsSink({ stream: 'SCORES', subject: 'scores.delay' }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`
 */
export function natsSink(body: { readonly stream: string; readonly subject: string }): NatsSinkSpec {
  checkOptions(body ?? null, 'A sink of NATS', ['stream', 'subject'])
  const stream = checkGroup(body.stream, 'A JetStream stream')
  const subject = checkSubject(body.subject, `The subject of JetStream stream "${stream}"`)
  if (/(^|\.)[*>](\.|$)/.test(subject))
    throw new LockstepError(
      'INVALID_NAME',
      `The subject of JetStream stream "${stream}" is "${subject}"; answers need one without "*" and ">".`,
    )
  return marked({ kind: 'nats', stream, subject })
}

/**
 * A Kafka topic on the brokers of `LOCKSTEP_KAFKA_URL` that a pipeline writes to. You create the topic.
 *
 * @param body.format of the answers: `json`, the default, or `avro`, with a schema that is registered as the subject
 *   `TOPIC-value` in the schema registry at `LOCKSTEP_SCHEMA_REGISTRY_URL`
 * @param body.transactions whether answers are written in transactions, so that consumers with
 *   `isolation.level=read_committed` get each answer once. The pipeline has to read from Kafka, too. Default: false
 * @example pipeline('score_flights', { …, to: kafkaSink({ topic: 'flights.scored' }) })
 * @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`
 */
export function kafkaSink(body: {
  readonly topic: string
  readonly format?: 'json' | 'avro'
  readonly transactions?: boolean
}): KafkaSinkSpec {
  checkOptions(body ?? null, 'A sink of Kafka', ['topic', 'format', 'transactions'])
  const stream = checkTopic(body.topic)
  const { transactions = false } = body
  if (typeof transactions !== 'boolean')
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `The sink of Kafka topic "${stream}" has the transactions ${show(transactions)}; write true or false.`,
    )
  return marked({
    kind: 'kafka',
    stream,
    ...(checkFormat(body.format, stream) === 'avro' ? { format: 'avro' } : {}),
    ...(transactions ? { transactions } : {}),
  })
}

/** A registered symbol, so that two copies of the package recognize each other's sinks. */
const brand: unique symbol = Symbol.for('lockstep.sink') as never

function marked<Spec extends SinkSpec>(spec: Spec): Spec {
  Object.defineProperty(spec, brand, { value: true, enumerable: false })
  return Object.freeze(spec)
}

/** @throws LockstepError `DEFINITIONS_INVALID` unless it is a result of `redisSink`, `natsSink` or `kafkaSink` */
export function sinkSpec(stated: SinkSpec, what: string): SinkSpec {
  if (typeof stated === 'object' && stated !== null && brand in stated) return Object.freeze({ ...stated })
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `${what} writes to ${show(stated)}; write redisSink('…'), natsSink({ stream: '…', subject: '…' }) or kafkaSink({ topic: '…' }).`,
  )
}
