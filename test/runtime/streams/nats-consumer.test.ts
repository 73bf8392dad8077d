import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectSocket, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { holdMessages } from '../../../runtime/streams/hold-messages.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { unlessStalled } from '../../unless-slow.ts'
import { extendsMessages, streamConsumerContract, takeAll, texts } from './stream-consumer-contract.ts'
import { natsProducer, serversAt } from './producers.ts'

streamConsumerContract('a JetStream stream', natsProducer, (tools) => {
  const { producer, stream, consumer } = tools
  extendsMessages(tools)

  const at = () => serversAt(producer().server.url)

  it('gives only messages of the subject, and counts only them', async () => {
    const s = await stream()
    const nats = await connect({ servers: new URL(producer().server.url).host })
    for (const [subject, body] of Object.entries({ [`${s}.a.1`]: 'a', [`${s}.b.1`]: 'b', [`${s}.a.2`]: 'c' })) nats.publish(subject, body)
    await nats.flush()
    await nats.close()
    const one = openConsumer(at(), { kind: 'nats', stream: s, subject: `${s}.a.*`, group: 'g' }, { redeliverMs: 1_000 })
    await expect.poll(() => one.lag()).toEqual({ waiting: 2, pending: 0 })
    expect(texts(await takeAll(one, 2))).toEqual(['a', 'c'])
    await one.close()
  })

  it('returns untaken messages at once when it is closed', async () => {
    const s = await stream()
    const slow = { redeliverMs: 600_000 }
    const [one, two] = [openConsumer(at(), producer().spec(s), slow), openConsumer(at(), producer().spec(s), slow)]
    const waiting = one.take(5)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await producer().send(s, ['a'])
    const early = await waiting
    await one.acknowledge(early.length > 0 ? early : await takeAll(one, 1))
    await producer().send(s, ['b'])
    await new Promise((resolve) => setTimeout(resolve, 100))
    await one.close()
    expect(texts(await takeAll(two, 1))).toEqual(['b'])
    await two.close()
  })

  it('does not give a message that arrived during a long batch, and that another has by now', async () => {
    await unlessStalled(
      producer().redeliverMs / 3,
      async () => {
        const s = await stream()
        const [one, two] = [consumer(s), consumer(s)]
        const waiting = one.take(5)
        await new Promise((resolve) => setTimeout(resolve, 300))
        await producer().send(s, ['a'])
        const early = await waiting
        const taken = early.length > 0 ? early : await takeAll(one, 1)
        await producer().send(s, ['b'])
        const again = await holdMessages(one, taken, () => takeAll(two, 1))
        expect(texts(again)).toEqual(['b'])
        await Promise.all([two.acknowledge(again), one.acknowledge(taken)])
        expect(texts(await one.take(5))).toEqual([])
      },
      producer().ping,
    )
  })

  it('leaves no connection open if the first calls come together', async () => {
    const s = await stream()
    const sockets = new Set<Socket>()
    const proxy = createServer((socket) => {
      sockets.add(socket)
      const server = connectSocket(Number(new URL(producer().server.url).port), '127.0.0.1')
      for (const each of [socket, server]) each.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        server.destroy()
      })
      socket.pipe(server).pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const { port } = proxy.address() as AddressInfo
    const own = openConsumer(serversAt(`nats://127.0.0.1:${port}`), producer().spec(s), { redeliverMs: 1_000 })
    await Promise.all([own.lag(), own.take(1), own.lag()])
    expect(sockets.size).toBe(1)
    const closing = own.lag().catch(() => undefined)
    await own.close()
    await closing
    // a process with an open connection does not end
    await expect.poll(() => sockets.size).toBe(0)
    await expect(own.take(1)).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' })
    proxy.close()
  })

  it('reports that the stream does not exist', async () => {
    await expect(consumer('nothing').take(1)).rejects.toMatchObject({
      code: 'STREAM_UNAVAILABLE',
      message: expect.stringContaining('stream not found') as string,
    })
    await expect(consumer('nothing').lag()).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' })
    const nats = await connect({ servers: new URL(producer().server.url).host })
    expect(await (await jetstreamManager(nats)).streams.names().next()).not.toContain('nothing')
    await nats.close()
  })

  it('names the setting that is missing', () => {
    expect(() => openConsumer({ streamRedisUrl: null, natsUrl: null, kafkaUrl: null }, producer().spec('s'), { redeliverMs: 1 })).toThrow(
      'LOCKSTEP_NATS_URL',
    )
  })
})
