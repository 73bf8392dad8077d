import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { StreamConsumer, StreamMessage } from '../../../runtime/streams/stream-consumer.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import type { Producer } from './producers.ts'

export const redeliverMs = 600

/** The contract of every kind of stream. */
export function streamConsumerContract(stream: string, start: () => Promise<Producer>, more: (tools: StreamConsumerTools) => void): void {
  describe(`the consumer of ${stream}`, () => {
    let producer: Producer
    const open: StreamConsumer[] = []
    beforeAll(async () => {
      producer = await start()
    })
    afterEach(async () => {
      for (const consumer of open.splice(0)) await consumer.close()
    })
    afterAll(() => producer?.close())

    const tools: StreamConsumerTools = {
      producer: () => producer,
      async stream() {
        const stream = `s${randomBytes(4).toString('hex')}`
        await producer.make(stream)
        return stream
      },
      consumer(stream, group) {
        const { url } = producer.server
        const consumer = openConsumer({ streamRedisUrl: url, natsUrl: url }, producer.spec(stream, group), { redeliverMs })
        open.push(consumer)
        return consumer
      },
    }
    const { stream: newStream, consumer } = tools

    it('gives each message once, in order, up to the requested number', async () => {
      const s = await newStream()
      await producer.send(s, ['a', 'b', 'c'])
      const one = consumer(s)
      const first = await one.take(2)
      expect(texts(first)).toEqual(['a', 'b'])
      await one.acknowledge(first)
      const rest = await one.take(2)
      expect(texts(rest)).toEqual(['c'])
      await one.acknowledge(rest)
      await new Promise((resolve) => setTimeout(resolve, redeliverMs * 2))
      expect(await one.take(2)).toEqual([])
      expect(new Set([...first, ...rest].map(({ id }) => id)).size).toBe(3)
    })

    it('waits about a second for a message, and gives it on arrival', async () => {
      const s = await newStream()
      const one = consumer(s)
      const from = performance.now()
      expect(await one.take(10)).toEqual([])
      expect(performance.now() - from).toBeGreaterThan(500)
      expect(performance.now() - from).toBeLessThan(3_000)
      const waiting = one.take(10)
      await new Promise((resolve) => setTimeout(resolve, 100))
      const sent = performance.now()
      await producer.send(s, ['a'])
      expect(texts(await waiting)).toEqual(['a'])
      expect(performance.now() - sent).toBeLessThan(400)
    })

    it('shares messages among the processes of a group, and gives each group all of them', async () => {
      const s = await newStream()
      const [one, two, other] = [consumer(s), consumer(s), consumer(s, 'other')]
      const sent = Array.from({ length: 100 }, (_, i) => String(i))
      await producer.send(s, sent)
      const shared: string[] = []
      const drain = async (each: StreamConsumer): Promise<void> => {
        for (;;) {
          const messages = await each.take(7)
          if (messages.length === 0) return
          shared.push(...texts(messages))
          await each.acknowledge(messages)
        }
      }
      await Promise.all([drain(one), drain(two)])
      expect(shared.toSorted()).toEqual(sent.toSorted())
      expect(texts(await takeAll(other, 100)).toSorted()).toEqual(sent.toSorted())
    })

    it('gives unacknowledged messages to another consumer, under the same id', async () => {
      const s = await newStream()
      const [one, two] = [consumer(s), consumer(s)]
      await producer.send(s, ['a', 'b'])
      const lost = await takeAll(one, 2)
      const again = await takeAll(two, 2)
      expect(again.map(({ id }) => id).toSorted()).toEqual(lost.map(({ id }) => id).toSorted())
      await two.acknowledge(again)
      expect(await two.lag()).toEqual({ waiting: 0, pending: 0 })
    })

    it('counts waiting and unacknowledged messages, even before the first read', async () => {
      const s = await newStream()
      await producer.send(s, ['a', 'b', 'c'])
      const [one, watcher] = [consumer(s), consumer(s)]
      expect(await watcher.lag()).toEqual({ waiting: 3, pending: 0 })
      const taken = await one.take(2)
      await vi.waitFor(async () => expect(await watcher.lag()).toEqual({ waiting: 1, pending: 2 }), 2_000)
      await one.acknowledge(taken)
      await vi.waitFor(async () => expect(await watcher.lag()).toEqual({ waiting: 1, pending: 0 }), 2_000)
    })

    it('continues after its stream is recreated, and distinguishes new messages from old', async () => {
      const s = await newStream()
      const one = consumer(s)
      await producer.send(s, ['a'])
      const before = await one.take(10)
      await one.acknowledge(before)
      await producer.remove(s)
      await producer.make(s)
      await producer.send(s, ['b'])
      const after = await vi.waitFor(() => takeAll(one, 1), 8_000)
      expect(texts(after)).toEqual(['b'])
      expect(after[0]?.id).not.toBe(before[0]?.id)
    })

    it('names a server that does not answer, and resumes with unacknowledged messages', async () => {
      const s = await newStream()
      const one = consumer(s)
      await producer.send(s, ['a', 'b'])
      const [a] = await takeAll(one, 1)
      const { server } = producer
      await server.stop()
      const from = performance.now()
      const away = consumer(s)
      await expect(away.take(1)).rejects.toMatchObject({
        code: 'STREAM_UNAVAILABLE',
        message: expect.stringContaining(`stream "${s}" at "${new URL(server.url).host}"`) as string,
      })
      expect(performance.now() - from).toBeLessThan(5_000)
      await one.take(1).catch(() => undefined)
      await server.start()
      const back = await vi.waitFor(() => takeAll(one, 2), { timeout: 10_000, interval: 100 })
      expect(texts(back).toSorted()).toEqual(['a', 'b'])
      expect(back.map(({ id }) => id)).toContain(a?.id)
      await one.acknowledge(back)
      expect(await one.lag()).toEqual({ waiting: 0, pending: 0 })
    })

    more(tools)
  })
}

export interface StreamConsumerTools {
  producer(): Producer
  /** A new stream. */
  stream(): Promise<string>
  /** Closed after the test. */
  consumer(stream: string, group?: string): StreamConsumer
}

export function texts(messages: readonly StreamMessage[]): string[] {
  return messages.map(({ body }) => (body === null ? 'null' : Buffer.from(body).toString()))
}

/** Reads messages until it has the given number. */
async function takeAll(consumer: StreamConsumer, count: number): Promise<StreamMessage[]> {
  const all = new Map<string, StreamMessage>()
  while (all.size < count) for (const message of await consumer.take(count)) all.set(message.id, message)
  return [...all.values()]
}
