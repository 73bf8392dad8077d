/** Where the events of a source come from, as the registry stores it. Which server that is, the configuration says. */
export type StreamSpec = RedisStreamSpec | NatsStreamSpec | KafkaStreamSpec

export interface RedisStreamSpec {
  readonly kind: 'redis'
  /** The key of the stream. */
  readonly stream: string
  /** The field of an entry that holds its message. */
  readonly field: string
  /** The consumer group: what each group reads is its own. */
  readonly group: string
}

export interface NatsStreamSpec {
  readonly kind: 'nats'
  /** The JetStream stream. */
  readonly stream: string
  /** Only messages of this subject, wildcards allowed; null: all of the stream. */
  readonly subject: string | null
  /** The durable consumer. */
  readonly group: string
}

export interface KafkaStreamSpec {
  readonly kind: 'kafka'
  /** The topic. */
  readonly stream: string
  /** The consumer group. */
  readonly group: string
  /** Absent: JSON. `avro`: with the schemas of a schema registry. */
  readonly format?: 'avro'
}

const names = { redis: 'Redis stream', nats: 'JetStream stream', kafka: 'Kafka topic' } as const

/** `Redis stream "landings"` */
export function streamName({ kind, stream }: Pick<StreamSpec, 'kind' | 'stream'>): string {
  return `${names[kind]} "${stream}"`
}
