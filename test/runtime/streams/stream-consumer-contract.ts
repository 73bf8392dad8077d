import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { StreamConsumer, StreamMessage } from '../../../runtime/streams/stream-consumer.ts'
import { groupOf, openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { holdMessages } from '../../../runtime/streams/hold-messages.ts'
import type { Producer, TrackingProducer } from './producers.ts'
import { serversAt } from './producers.ts'
import { unlessSlow, unlessStalled } from '../../unless-slow.ts'

export interface ContractOptions {
  /** Runs the tests at once, but for those that stop the server: where a group takes seconds to form. */
  readonly together?: boolean
}

/** The contract of every kind of stream. */
export function streamConsumerContract<P extends Producer>(
  stream: string,
  start: () => Promise<P>,
  more: (tools: StreamConsumerTools<P>) => void,
  { together = false }: ContractOptions = {},
): void {
  const test = together ? it.concurrent : it
  describe(`the consumer of ${stream}`, () => {
    let producer: P
    const open: StreamConsumer[] = []
    beforeAll(async () => {
      producer = await start()
    })
    const closeAll = async (): Promise<void> => void (await Promise.all(open.splice(0).map((consumer) => consumer.close())))
    if (!together) afterEach(closeAll)
    afterAll(async () => {
      await closeAll()
      await producer?.close()
    })

    const tools: StreamConsumerTools<P> = {
      producer: () => producer,
      async stream() {
        const stream = `s${randomBytes(4).toString('hex')}`
        await producer.make(stream)
        return stream
      },
      consumer(stream, group, redeliverMs = producer.redeliverMs) {
        const consumer = openConsumer(serversAt(producer.server.url), producer.spec(stream, group), { redeliverMs })
        open.push(consumer)
        return consumer
      },
    }
    const { stream: newStream, consumer } = tools

    test('begins where its group was made to begin the last time', async () => {
      const s = await newStream()
      await producer.send(s, ['a'])
      const [at, spec] = [serversAt(producer.server.url), producer.spec(s, 'again')]
      const group = await groupOf(at, spec)
      await group.begin({ atMs: Date.now() + 3_600_000 })
      await group.begin({ atMs: 0 })
      expect(texts(await takeSome(consumer(s, 'again'), 1))).toEqual(['a'])
      await expect(group.begin({ position: '99:0' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    })

    test('gives each message once, in order, up to the requested number', async () => {
      const s = await newStream()
      // one by one: where a stream has partitions, they are of the same
      await producer.send(s, ['a'])
      await producer.send(s, ['b'])
      await producer.send(s, ['c'])
      const one = consumer(s)
      const first = await takeSome(one, 2)
      expect(texts(first)).toEqual(['a', 'b'])
      await one.acknowledge(first)
      const rest = await takeSome(one, 2)
      expect(texts(rest)).toEqual(['c'])
      await one.acknowledge(rest)
      await new Promise((resolve) => setTimeout(resolve, 1_200))
      expect(await one.take(2)).toEqual([])
      expect(new Set([...first, ...rest].map(({ id }) => id)).size).toBe(3)
    })

    test('waits about a second for a message, and gives it on arrival', async () => {
      const s = await newStream()
      const one = consumer(s)
      await producer.send(s, ['before'])
      await one.acknowledge(await takeSome(one, 1))
      await unlessSlow(3_000, async () => {
        const from = performance.now()
        expect(await one.take(10)).toEqual([])
        expect(performance.now() - from).toBeGreaterThan(500)
        expect(performance.now() - from).toBeLessThan(3_000)
      })
      const onArrivalMs = producer.tracks ? 400 : 900
      await unlessSlow(100 + onArrivalMs, async (attempt) => {
        const waiting = one.take(10)
        await new Promise((resolve) => setTimeout(resolve, 100))
        const sent = performance.now()
        await producer.send(s, [`a${attempt}`])
        const taken = await waiting
        const ms = performance.now() - sent
        await one.acknowledge(taken.length > 0 ? taken : await takeSome(one, 1))
        expect(texts(taken)).toEqual([`a${attempt}`])
        expect(ms).toBeLessThan(onArrivalMs)
      })
    })

    test('shares messages among the processes of a group, and gives each group all of them', async () => {
      const s = await newStream()
      // one that is paused keeps its messages
      const redeliverMs = producer.tracks ? 600_000 : producer.redeliverMs
      const [one, two, other] = [undefined, undefined, 'other'].map((group) => consumer(s, group, redeliverMs)) as [
        StreamConsumer,
        StreamConsumer,
        StreamConsumer,
      ]
      const sent = Array.from({ length: 100 }, (_, i) => String(i))
      await producer.send(s, sent)
      const shared: string[] = []
      const drain = async (each: StreamConsumer): Promise<void> => {
        while (shared.length < sent.length) {
          const messages = await takeNow(each, 7)
          shared.push(...texts(messages))
          await each.acknowledge(messages)
        }
      }
      await Promise.all([drain(one), drain(two)])
      expect(shared.toSorted()).toEqual(sent.toSorted())
      expect(texts(await takeAll(other, 100)).toSorted()).toEqual(sent.toSorted())
    })

    test('gives unacknowledged messages to another consumer, under the same id', async () => {
      const s = await newStream()
      const [one, two] = [consumer(s), consumer(s)]
      await producer.send(s, ['a', 'b'])
      const lost = await takeAll(one, 2)
      if (!producer.tracks) await one.close()
      const again = await takeAll(two, 2)
      expect(again.map(({ id }) => id).toSorted()).toEqual(lost.map(({ id }) => id).toSorted())
      await two.acknowledge(again)
      // NATS takes an acknowledgement without an answer
      await vi.waitFor(async () => expect(await two.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
    })

    test('counts waiting and unacknowledged messages, even before the first read', async () => {
      const s = await newStream()
      await producer.send(s, ['a', 'b', 'c'])
      const [one, watcher] = [consumer(s), consumer(s)]
      expect(await watcher.lag()).toEqual({ waiting: 3, pending: 0 })
      const taken = await takeSome(one, 2)
      const held = producer.tracks ? { waiting: 1, pending: 2 } : { waiting: 3, pending: 0 }
      await vi.waitFor(async () => expect(await watcher.lag()).toEqual(held), 60_000)
      await one.acknowledge(taken)
      await vi.waitFor(async () => expect(await watcher.lag()).toEqual({ waiting: 1, pending: 0 }), 60_000)
    })

    test('continues after its stream is recreated, and distinguishes new messages from old', async () => {
      const s = await newStream()
      const one = consumer(s)
      await producer.send(s, ['a'])
      const before = await takeSome(one, 10)
      await one.acknowledge(before)
      await producer.remove(s)
      await producer.make(s)
      await producer.send(s, ['b'])
      const after = await vi.waitFor(() => takeAll(one, 1), { timeout: 60_000, interval: 100 })
      expect(texts(after)).toEqual(['b'])
      expect(after[0]?.id).not.toBe(before[0]?.id)
    })

    more(tools)

    it('names a server that does not answer, and resumes with unacknowledged messages', async () => {
      const s = await newStream()
      const one = consumer(s)
      await producer.send(s, ['a', 'b'])
      const [a] = await takeAll(one, 1)
      const { server } = producer
      await server.stop()
      const from = performance.now()
      const away = consumer(s)
      // a take may end before it is known that the server is away
      const failure = async () =>
        await away.take(1).then(
          () => null,
          (error: unknown) => error,
        )
      await expect.poll(failure, { timeout: 60_000 }).toMatchObject({
        code: 'STREAM_UNAVAILABLE',
        message: expect.stringContaining(` "${s}" at "${new URL(server.url).host}"`) as string,
      })
      expect(performance.now() - from).toBeLessThan(60_000)
      await one.take(1).catch(() => undefined)
      await server.start()
      if (!producer.tracks) await one.close()
      const next = producer.tracks ? one : consumer(s)
      const back = await vi.waitFor(() => takeAll(next, 2), { timeout: 60_000, interval: 100 })
      expect(texts(back).toSorted()).toEqual(['a', 'b'])
      expect(back.map(({ id }) => id)).toContain(a?.id)
      await next.acknowledge(back)
      await vi.waitFor(async () => expect(await next.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
    })
  })
}

/** Of servers that know what each reader holds. */
export function extendsMessages({ producer, stream, consumer }: StreamConsumerTools<TrackingProducer>): void {
  it('keeps messages from others while they are extended, and gives them away after that', async () => {
    await unlessStalled(
      producer().redeliverMs / 3,
      async () => {
        const s = await stream()
        const [one, two] = [consumer(s), consumer(s)]
        await producer().send(s, ['a', 'b'])
        const taken = await takeAll(one, 2)
        const until = performance.now() + producer().redeliverMs * 2
        const seen: string[] = []
        await holdMessages(one, taken, async () => {
          while (performance.now() < until) seen.push(...texts(await two.take(2)))
        })
        expect(seen).toEqual([])
        const [first, second] = [taken.slice(0, 1), taken.slice(1)]
        await one.acknowledge(first)
        await one.extend(first)
        const again = await takeAll(two, 1)
        expect(texts(again)).toEqual(texts(second))
        // another has it by now
        await one.extend(second)
        await two.acknowledge(again)
        await vi.waitFor(async () => expect(await two.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
      },
      producer().ping,
    )
  })
}

export interface StreamConsumerTools<P extends Producer = Producer> {
  producer(): P
  /** A new stream. */
  stream(): Promise<string>
  /** Closed after the test, or at the end. @param redeliverMs default: that of the producer */
  consumer(stream: string, group?: string, redeliverMs?: number): StreamConsumer
}

export function texts(messages: readonly StreamMessage[]): string[] {
  return messages.map(({ body }) => (body === null ? 'null' : Buffer.from(body).toString()))
}

/** How long messages that are there may take to arrive: far longer than a group needs to agree who reads what. */
const arriveMs = 100_000

/** What there is now: nothing of a server that is paused for a second, by which it misses heartbeats. */
async function takeNow(consumer: StreamConsumer, limit: number): Promise<readonly StreamMessage[]> {
  return await consumer.take(limit).catch((error: unknown) => {
    if (String(error).includes('heartbeats missed')) return []
    throw error
  })
}

/** Reads messages until it has the given number. @throws Error if they do not arrive */
export async function takeAll(consumer: StreamConsumer, count: number): Promise<StreamMessage[]> {
  const until = performance.now() + arriveMs
  const all = new Map<string, StreamMessage>()
  while (all.size < count) {
    if (performance.now() > until) throw new Error(`${all.size} of ${count} messages arrived within ${arriveMs / 1000} s`)
    for (const message of await takeNow(consumer, count)) all.set(message.id, message)
  }
  return [...all.values()]
}

/** Reads messages until there are some: it may take a group a while to agree who reads what. */
async function takeSome(consumer: StreamConsumer, limit: number): Promise<readonly StreamMessage[]> {
  const until = performance.now() + arriveMs
  while (performance.now() < until) {
    const messages = await takeNow(consumer, limit)
    if (messages.length > 0) return messages
  }
  throw new Error(`No message arrived within ${arriveMs / 1000} s`)
}
