import { randomBytes } from 'node:crypto'
import { StorageType, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Admin, Consumer, Producer as KafkaProducer } from '@platformatic/kafka'
import { Redis } from 'ioredis'
import type { SinkSpec } from '../../../kernel/specs/sink-spec.ts'
import type { KafkaStreamSpec, StreamSpec } from '../../../kernel/specs/stream-spec.ts'
import type { StreamServers } from '../../../runtime/streams/open-consumer.ts'
import type { KafkaServer } from '../../services/kafka.ts'
import { restartableKafka } from '../../services/kafka.ts'
import type { RestartableServer } from '../../services/restartable-server.ts'
import { restartableNats, restartableRedis } from '../../services/restartable-server.ts'
import { until } from '../../serving/gate.ts'

/** A server of one kind, and what a program that writes streams does with it. */
export interface Producer {
  readonly kind: StreamSpec['kind']
  readonly server: RestartableServer
  spec(stream: string, group?: string): StreamSpec
  /**
   * Whether the server tracks the messages of each reader: it counts them, and gives them to another reader in time.
   * Otherwise a reader's share moves to others once it leaves.
   */
  readonly tracks: boolean
  /** After how long without a sign of life a reader's messages go to others, in tests. */
  readonly redeliverMs: number
  /** Makes the stream, where it has to be made. */
  make(stream: string): Promise<void>
  send(stream: string, bodies: readonly (string | Buffer)[]): Promise<void>
  remove(stream: string): Promise<void>
  /** Deletes all but the last messages, as a limit of the stream does; absent: the server of the tests cannot. */
  trim?(stream: string, keep: number): Promise<void>
  /** Where a sink writes so that `read` finds it. */
  sink(stream: string): SinkSpec
  /** All messages that sinks have written, once there are enough. */
  read(stream: string, isEnough: (written: readonly Written[]) => boolean): Promise<Written[]>
  close(): Promise<void>
}

/** Of a server that knows what each reader holds. */
export interface TrackingProducer extends Producer {
  /** Waits for an answer of the server. */
  ping(): Promise<unknown>
}

export interface Written {
  readonly id: string
  readonly key: string
  readonly value: string
}

export async function redisProducer(): Promise<TrackingProducer> {
  const server = await restartableRedis()
  const redis = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  return {
    kind: 'redis',
    tracks: true,
    redeliverMs: 2_000,
    server,
    ping: () => redis.ping(),
    spec: (stream, group = 'lockstep') => ({ kind: 'redis', stream, field: 'data', group }),
    make: async () => undefined,
    async send(stream, bodies) {
      const pipeline = redis.pipeline()
      for (const body of bodies) pipeline.xadd(stream, '*', 'data', body)
      for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error
    },
    remove: async (stream) => void (await redis.del(stream)),
    trim: async (stream, keep) => void (await redis.xtrim(stream, 'MAXLEN', keep)),
    sink: (stream) => ({ kind: 'redis', stream, field: 'data', maxLength: null, windowSeconds: 3_600 }),
    async read(stream, isEnough) {
      const written: Written[] = []
      for (let at = '0'; !isEnough(written);) {
        for (const [id, fields] of (await redis.xread('COUNT', 1_000, 'BLOCK', 100, 'STREAMS', stream, at))?.[0]?.[1] ?? []) {
          at = id
          const of = (name: string): string => fields[fields.indexOf(name) + 1] ?? ''
          written.push({ id: of('lockstep-id'), key: of('lockstep-key'), value: of('data') })
        }
      }
      return written
    },
    async close() {
      redis.disconnect()
      await server.remove()
    },
  }
}

/** Where the servers of streams are: one server, of whatever kind. */
export const serversAt = (url: string): StreamServers => ({ streamRedisUrl: url, natsUrl: url, kafkaUrl: url })

export async function natsProducer(): Promise<TrackingProducer> {
  const own = await restartableNats()
  const nats = await connect({ servers: new URL(own.url).host, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  const server: RestartableServer = {
    ...own,
    async start() {
      await own.start()
      // what is sent while the client has no connection is lost
      await until(() =>
        nats.rtt().then(
          () => true,
          () => false,
        ),
      )
    },
  }
  const manager = await jetstreamManager(nats)
  return {
    kind: 'nats',
    tracks: true,
    redeliverMs: 2_000,
    server,
    ping: () => nats.rtt(),
    spec: (stream, group = 'lockstep') => ({ kind: 'nats', stream, subject: null, group }),
    async make(stream) {
      // longer than the longest outage of a test, as the window of the Redis sink
      const duplicate_window = 3_600e9
      await manager.streams.add({ name: stream, subjects: [`${stream}.>`], storage: StorageType.File, duplicate_window })
    },
    async send(stream, bodies) {
      const js = jetstream(nats)
      for (let at = 0; at < bodies.length; at += 500) {
        await Promise.all(bodies.slice(at, at + 500).map((body) => js.publish(`${stream}.event`, body)))
      }
    },
    remove: async (stream) => void (await manager.streams.delete(stream)),
    trim: async (stream, keep) => void (await manager.streams.update(stream, { max_msgs: keep })),
    sink: (stream) => ({ kind: 'nats', stream, subject: `${stream}.answer` }),
    async read(stream, isEnough) {
      const written: Written[] = []
      const consumer = await jetstream(nats).consumers.get(stream, { filter_subjects: `${stream}.answer` })
      for await (const message of await consumer.consume()) {
        const of = (name: string): string => message.headers?.get(name) ?? ''
        written.push({ id: of('lockstep-id'), key: decodeURIComponent(of('lockstep-key')), value: message.string() })
        if (isEnough(written)) break
      }
      return written
    },
    async close() {
      await nats.close()
      await server.remove()
    },
  }
}

/** How long the next message that a test waits for may take. */
const writtenMs = 100_000

/** Topics have two partitions, so that two readers have a share each. */
const partitions = [0, 1]

export interface KafkaProducerOfTests extends Producer {
  readonly server: KafkaServer
  spec(stream: string, group?: string): KafkaStreamSpec
}

export async function kafkaProducer(): Promise<KafkaProducerOfTests> {
  const server = await restartableKafka()
  const client = { clientId: 'producer', bootstrapBrokers: [new URL(server.url).host], retries: 20, retryDelay: 100 }
  const [admin, producer] = [new Admin(client), new KafkaProducer({ ...client, acks: -1 })]
  for (const each of [admin, producer]) each.on('error', () => undefined)
  return {
    kind: 'kafka',
    tracks: false,
    redeliverMs: 4_000,
    server,
    // a group is of no topic, so each topic gets its own
    spec: (stream, group = 'lockstep') => ({ kind: 'kafka', stream, group: `${stream}_${group}` }),
    make: async (stream) => void (await admin.createTopics({ topics: [stream], partitions: partitions.length, replicas: 1 })),
    async send(stream, bodies) {
      for (const partition of partitions) {
        const messages = bodies
          .filter((_, i) => i % partitions.length === partition)
          .map((body) => ({ topic: stream, partition, value: Buffer.from(body) }))
        // the last one alone: Tansu counts only one message of the last batch of a partition
        const last = messages.splice(-1)
        for (let at = 0; at < messages.length; at += 500) await producer.send({ messages: messages.slice(at, at + 500) })
        if (last.length > 0) await producer.send({ messages: last })
      }
    },
    async remove(stream) {
      await admin.deleteTopics({ topics: [stream] })
      // what it knows of the topic's partitions
      producer.clearMetadata()
    },
    sink: (stream) => ({ kind: 'kafka', stream }),
    async read(stream, isEnough) {
      const groupId = `read_${randomBytes(4).toString('hex')}`
      const consumer = new Consumer({ ...client, groupId, sessionTimeout: 4_000, rebalanceTimeout: 8_000, heartbeatInterval: 1_000 })
      consumer.on('error', () => undefined)
      const written: Written[] = []
      try {
        const messages = await consumer.consume({
          topics: [stream],
          mode: 'committed',
          fallbackMode: 'earliest',
          autocommit: false,
          maxWaitTime: 100,
        })
        const late = (): Error => new Error(`no message came to "${stream}" within ${writtenMs / 1000} s after ${written.length}`)
        const timer = setTimeout(() => messages.destroy(late()), writtenMs)
        messages.once('close', () => clearTimeout(timer))
        for await (const { key, value, headers } of messages) {
          timer.refresh()
          const id = [...headers].find(([name]) => name.toString() === 'lockstep-id')?.[1]
          written.push({ id: id?.toString() ?? '', key: key.toString(), value: value.toString() })
          if (isEnough(written)) break
        }
      } finally {
        await consumer.close(true)
      }
      return written
    },
    async close() {
      await producer.close().catch(() => undefined)
      await admin.close().catch(() => undefined)
      await server.remove()
    },
  }
}
