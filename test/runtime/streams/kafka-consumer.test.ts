import { randomBytes } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { timedOut } from '../../../runtime/async.ts'
import { addGap, dropAborted } from '../../../runtime/streams/kafka-aborted.ts'
import { takeShare } from '../../../runtime/streams/hold-messages.ts'
import { openKafkaReader } from '../../../runtime/streams/kafka-reader.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { openEnds } from '../../../runtime/streams/open-sink.ts'
import type { StreamMessage } from '../../../runtime/streams/stream-consumer.ts'
import type { OutputMessage } from '../../../runtime/streams/stream-sink.ts'
import type { TransactionRequest } from '../../services/kafka-transactions.ts'
import { streamConsumerContract, takeAll, texts } from './stream-consumer-contract.ts'
import type { Written } from './producers.ts'
import { kafkaProducer, serversAt } from './producers.ts'

const answerTo = ({ id, body }: StreamMessage, value = `to ${String(body)}`): OutputMessage => ({
  id,
  writtenAs: id,
  input: id,
  key: String(body),
  value,
})

/** The last keys of both partitions of a topic. */
const ends = ['end1', 'end2']
const hasEnds = (written: readonly Written[]): boolean => ends.every((end) => written.some(({ key }) => key === end))

streamConsumerContract(
  'a Kafka topic',
  kafkaProducer,
  ({ producer, consumer, stream }) => {
    /** Ends that write in transactions; all of one test are of one group. */
    async function newEnds() {
      const [from, to] = [await stream(), `t${randomBytes(4).toString('hex')}`]
      await producer().make(to)
      const { server, redeliverMs } = producer()
      const spec = producer().spec(from)
      const open = () =>
        openEnds(serversAt(server.url), { kind: 'kafka', stream: to, transactions: true }, { from: spec, redeliverMs: redeliverMs * 2 })
      return { from, to, open }
    }

    it('waits until the group has agreed, before it says that nothing came', async () => {
      const reader = consumer(await stream())
      expect(await reader.hasShare?.()).toBe(false)
      expect(await takeShare(reader, 10, new AbortController().signal)).toEqual([])
      expect(await reader.hasShare?.()).toBe(true)
    })

    /** Holds the first request of a kind until it is let go. */
    function holdFirst(request: TransactionRequest): { reached: Promise<void>; letGo: () => void } {
      const [reached, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      producer().server.transactions.intercept = async (each, when) => {
        if (each !== request || when !== 'before') return null
        producer().server.transactions.intercept = null
        reached.resolve()
        await letGo.promise
        return null
      }
      return { reached: reached.promise, letGo: () => letGo.resolve() }
    }

    function cutOnce(when: 'before' | 'after'): void {
      const { transactions } = producer().server
      transactions.intercept = async (each, at) => {
        if (each !== 'EndTxn' || at !== when) return null
        transactions.intercept = null
        return 'cut'
      }
    }

    it.concurrent('joins again as a new member after the group has not answered the first one', async () => {
      const s = await stream()
      const { server } = producer()
      const joinGroup = 11
      server.transactions.ignores = (frame) => frame.readInt16BE(4) === joinGroup && frame.includes(`${s}_lockstep`)
      const one = openConsumer(serversAt(server.url), producer().spec(s), { redeliverMs: 1_000 })
      await producer().send(s, ['a'])
      await expect(takeAll(one, 1)).rejects.toMatchObject({
        code: 'STREAM_UNAVAILABLE',
        message: expect.stringContaining('the group did not agree on its members within 15 s') as string,
      })
      server.transactions.ignores = null
      expect(texts(await takeAll(one, 1))).toEqual(['a'])
      await one.close()
    })

    it.concurrent('keeps the newer membership when an earlier one is ended twice', async () => {
      const { server, redeliverMs } = producer()
      const reader = openKafkaReader(server.url, producer().spec(await stream()), { redeliverMs })
      const joined = () =>
        vi.waitFor(async () => {
          const member = await reader.member()
          if (member === timedOut) throw new Error('The group has not agreed.')
          return member
        }, 60_000)
      const first = await joined()
      await reader.end(first)
      const second = await joined()
      await reader.end(first)
      expect(await joined()).toBe(second)
      await reader.close()
    })

    it('writes each answer once in transactions, whether a commit is lost before or after it happened', async () => {
      const { from, to, open } = await newEnds()
      const { consumer: one, sink } = open()
      await sink.check()
      await producer().send(from, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
      const messages = await takeAll(one, 8)
      const answer = (bodies: string) => messages.filter(({ body }) => bodies.includes(String(body))).map((each) => answerTo(each))
      await sink.produce(answer('ab'))
      await sink.produce(answer('ab'))
      for (const [when, bodies] of [
        ['before', 'cd'],
        ['after', 'ef'],
      ] as const) {
        // prettier-ignore
        cutOnce(when)
        await vi.waitFor(() => sink.produce(answer(bodies)), { timeout: 60_000, interval: 100 })
      }
      const [large] = messages.filter(({ body }) => String(body) === 'g').map((each) => answerTo(each, 'x'.repeat(2 << 20)))
      if (large !== undefined) await expect(sink.produce([large, ...answer('h')])).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
      await sink.produce(answer('h'))
      await one.acknowledge(messages)
      // a commit is answered before its offsets count
      await vi.waitFor(async () => expect(await one.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
      await producer().send(from, ends)
      await sink.produce((await takeAll(one, 2)).map((each) => answerTo(each)))
      const written = await producer().read(to, hasEnds)
      expect(written.map(({ key }) => key).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', ...ends, 'f', 'h'])
      expect(written.map(({ value }) => value)).toEqual(written.map(({ key }) => `to ${key}`))
      // each transaction ends with a record, which takes an offset and is no message
      await producer().server.transactions.settled()
      const reader = consumer(to)
      await reader.acknowledge(await takeAll(reader, 9))
      await vi.waitFor(async () => expect(await reader.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
      await one.close()
      await sink.close()
    })

    it('writes answers to messages of several takes in one transaction', async () => {
      const { from, to, open } = await newEnds()
      const { consumer: one, sink } = open()
      await producer().send(from, ends)
      const messages = [...(await takeAll(one, 1)), ...(await takeAll(one, 1))]
      await sink.produce(messages.map((each) => answerTo(each)))
      expect((await producer().read(to, hasEnds)).map(({ key }) => key).toSorted()).toEqual(ends)
      await vi.waitFor(async () => expect(await one.lag()).toEqual({ waiting: 0, pending: 0 }), 60_000)
      await one.close()
      await sink.close()
    })

    it('writes in transactions once the coordinator answers, after the check has failed without it', async () => {
      const { from, to, open } = await newEnds()
      const { consumer: one, sink } = open()
      const { transactions } = producer().server
      transactions.intercept = async (each) => (each === 'InitProducerId' ? 'cut' : null)
      await expect(sink.check()).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' })
      transactions.intercept = null
      await sink.check()
      await producer().send(from, ends)
      await sink.produce((await takeAll(one, 2)).map((each) => answerTo(each)))
      expect((await producer().read(to, hasEnds)).map(({ key }) => key).toSorted()).toEqual(ends)
      await one.close()
      await sink.close()
    })

    it('writes no answers to messages whose partition another process has by now', async () => {
      const { from, to, open } = await newEnds()
      const [one, two] = [open(), open()]
      await producer().send(from, ['a', 'b', 'c', 'd'])
      const messages = await takeAll(one.consumer, 4)
      const held = holdFirst('TxnOffsetCommit')
      const late = one.sink.produce(messages.map((each) => answerTo(each))).then(
        () => 'written',
        (error: Error) => error.message,
      )
      await held.reached
      // it gets one of two partitions, and answers its messages
      const moved = await takeAll(two.consumer, 2)
      await two.sink.produce(moved.map((each) => answerTo(each)))
      held.letGo()
      expect(await late).toContain('the group is sharing out its partitions')
      await vi.waitFor(() => one.sink.produce(messages.map((each) => answerTo(each))), { timeout: 60_000, interval: 100 })
      await producer().send(from, ends)
      let isRead = false
      const answering = [one, two].map(async ({ consumer, sink }) => {
        while (!isRead) await sink.produce((await consumer.take(5)).map((each) => answerTo(each)))
      })
      const written = await producer().read(to, hasEnds)
      isRead = true
      await Promise.all(answering)
      expect(written.map(({ key }) => key).toSorted()).toEqual(['a', 'b', 'c', 'd', ...ends])
      for (const { consumer, sink } of [one, two]) {
        await consumer.close()
        await sink.close()
      }
    })

    it('reads no messages of aborted transactions, also if several of a producer, or only parts, come at once', () => {
      const batch = (firstOffset: bigint, producerId: bigint, attributes = 16) =>
        ({ firstOffset, lastOffsetDelta: 1, producerId, attributes, records: ['a', 'b'] }) as never
      const partition = {
        abortedTransactions: [
          { producerId: 1n, firstOffset: 20n },
          { producerId: 1n, firstOffset: 0n },
          { producerId: 2n, firstOffset: 30n },
        ],
        records: [
          batch(0n, 1n),
          batch(4n, 2n),
          batch(6n, 1n, 48),
          batch(10n, 1n),
          batch(20n, 1n),
          batch(22n, 1n, 48),
          batch(26n, 1n),
          batch(28n, -1n, 0),
          batch(30n, 2n),
          batch(32n, 2n),
        ],
      }
      dropAborted({ responses: [{ topicId: '', partitions: [partition as never] }] })
      const given = partition.records.flatMap(({ firstOffset, records }: { firstOffset: bigint; records: [] }) =>
        records.length === 0 ? [] : [firstOffset],
      )
      expect(given).toEqual([4n, 6n, 10n, 22n, 26n, 28n])
    })

    it('keeps one run of offsets for any number of aborted transactions without a message between them', () => {
      const gaps = { ends: new Map<bigint, bigint>(), newest: 0n }
      for (let offset = 5n; offset < 2005n; offset += 2n) addGap(gaps, offset, offset + 2n)
      addGap(gaps, 2006n, 2008n)
      addGap(gaps, 2008n, 2009n)
      expect([...gaps.ends]).toEqual([
        [5n, 2005n],
        [2006n, 2009n],
      ])
    })

    it('refuses transactions for messages of another kind of stream', () => {
      const from = { kind: 'nats', stream: 's', subject: null, group: 'g' } as const
      const to = { kind: 'kafka', stream: 'out', transactions: true } as const
      expect(() => openEnds(serversAt(producer().server.url), to, { from, redeliverMs: 1 })).toThrow(
        'must read from a Kafka topic, too; the messages come from the JetStream stream "s"',
      )
    })

    it('reports that the topic does not exist', async () => {
      const missing = { code: 'STREAM_UNAVAILABLE', message: expect.stringContaining('the topic does not exist') as string }
      const one = consumer('nothing')
      // while it joins, it gives nothing
      await vi.waitFor(() => expect(one.take(1)).rejects.toMatchObject(missing), 60_000)
      await expect(consumer('nothing').lag()).rejects.toMatchObject(missing)
    })

    it('names the setting that is missing', () => {
      const nowhere = { streamRedisUrl: null, natsUrl: null, kafkaUrl: null }
      expect(() => openConsumer(nowhere, producer().spec('s'), { redeliverMs: 1 })).toThrow('LOCKSTEP_KAFKA_URL')
    })
  },
  { together: true },
)
