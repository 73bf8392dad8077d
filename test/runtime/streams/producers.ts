import { StorageType, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import type { StreamSpec } from '../../../kernel/stream-spec.ts'
import type { RestartableServer } from '../../services/restartable-server.ts'
import { restartableNats, restartableRedis } from '../../services/restartable-server.ts'

/** A server of one kind, and what a program that writes streams does with it. */
export interface Producer {
  readonly kind: 'redis' | 'nats'
  readonly server: RestartableServer
  spec(stream: string, group?: string): StreamSpec
  /** Makes the stream, where it has to be made. */
  make(stream: string): Promise<void>
  send(stream: string, bodies: readonly string[]): Promise<void>
  remove(stream: string): Promise<void>
  close(): Promise<void>
}

export async function redisProducer(): Promise<Producer> {
  const server = await restartableRedis()
  const redis = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  return {
    kind: 'redis',
    server,
    spec: (stream, group = 'lockstep') => ({ kind: 'redis', stream, field: 'data', group }),
    make: async () => undefined,
    async send(stream, bodies) {
      const pipeline = redis.pipeline()
      for (const body of bodies) pipeline.xadd(stream, '*', 'data', body)
      for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error
    },
    remove: async (stream) => void (await redis.del(stream)),
    async close() {
      redis.disconnect()
      await server.remove()
    },
  }
}

export async function natsProducer(): Promise<Producer> {
  const server = await restartableNats()
  const nats = await connect({ servers: new URL(server.url).host, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  const manager = await jetstreamManager(nats)
  return {
    kind: 'nats',
    server,
    spec: (stream, group = 'lockstep') => ({ kind: 'nats', stream, subject: null, group }),
    make: async (stream) => void (await manager.streams.add({ name: stream, subjects: [`${stream}.>`], storage: StorageType.File })),
    async send(stream, bodies) {
      const js = jetstream(nats)
      for (let at = 0; at < bodies.length; at += 500) {
        await Promise.all(bodies.slice(at, at + 500).map((body) => js.publish(`${stream}.event`, body)))
      }
    },
    remove: async (stream) => void (await manager.streams.delete(stream)),
    async close() {
      await nats.close()
      await server.remove()
    },
  }
}
