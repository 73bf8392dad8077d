/** Where the answers of a pipeline go, as the registry stores it. Which server that is, the configuration says. */
export type SinkSpec = RedisSinkSpec | NatsSinkSpec | KafkaSinkSpec

export interface RedisSinkSpec {
  readonly kind: 'redis'
  /** The key of the stream. */
  readonly stream: string
  /** The field of an entry that holds its answer. */
  readonly field: string
  /** About how many entries the stream keeps; null: all. */
  readonly maxLength: number | null
  /** How long an id is known, so that it is not written again. */
  readonly windowSeconds: number
}

export interface NatsSinkSpec {
  readonly kind: 'nats'
  /** The JetStream stream. */
  readonly stream: string
  /** The subject of the answers, which the stream takes. */
  readonly subject: string
}

export interface KafkaSinkSpec {
  readonly kind: 'kafka'
  /** The topic. */
  readonly stream: string
  /** Absent: JSON. `avro`: with a schema in a schema registry. */
  readonly format?: 'avro'
  /**
   * One transaction has the answers and the offsets of their messages, which come from a Kafka topic. Absent: no
   * transactions.
   */
  readonly transactions?: true
}
