import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { expect, it, vi } from 'vitest'
import { openEnds } from '../../../runtime/streams/open-sink.ts'

it.each(['source', 'sink'])('leaves no connection open if the Kafka of its %s is not configured', async (missing) => {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const servers = { streamRedisUrl: `redis://127.0.0.1:${port}`, natsUrl: null, kafkaUrl: null }
  const redis = { kind: 'redis', stream: 's', field: 'event', group: 'g', maxLength: null, windowSeconds: 60 } as const
  const kafka = { kind: 'kafka', stream: 't', group: 'g' } as const
  const [from, to] = missing === 'source' ? [kafka, redis] : [redis, kafka]
  expect(() => openEnds(servers, to, { from, redeliverMs: 1000 })).toThrow('LOCKSTEP_KAFKA_URL')
  // the server takes connections in their order
  const last = connect(port, '127.0.0.1')
  await vi.waitFor(() => expect([...open].map(({ remotePort }) => remotePort)).toEqual([last.localPort]), { timeout: 60_000 })
  last.destroy()
  server.close()
})
