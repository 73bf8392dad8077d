import { Redis } from 'ioredis'
import { expect, it, vi } from 'vitest'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import type { StreamConsumer } from '../../../runtime/streams/stream-consumer.ts'
import { unlessSlow } from '../../unless-slow.ts'
import { extendsMessages, streamConsumerContract, takeAll, texts } from './stream-consumer-contract.ts'
import { redisProducer, serversAt } from './producers.ts'

streamConsumerContract('a Redis Stream', redisProducer, (tools) => {
  const { producer, stream, consumer } = tools
  extendsMessages(tools)

  const withRedis = async <T>(fn: (redis: Redis) => Promise<T>): Promise<T> => {
    const redis = new Redis(producer().server.url)
    try {
      return await fn(redis)
    } finally {
      redis.disconnect()
    }
  }

  it('gives the named field of an entry, or none if it is missing', async () => {
    const s = await stream()
    await withRedis(async (redis) => {
      await redis.xadd(s, '*', 'kind', 'x', 'data', Buffer.from([0xff, 0]), 'more', 'y')
      await redis.xadd(s, '*', 'payload', 'z')
    })
    expect((await consumer(s).take(2)).map(({ body }) => body)).toEqual([Buffer.from([0xff, 0]), null])
  })

  it('gives unacknowledged messages again although the clock of this machine was set back', async () => {
    const seconds: StreamConsumer[] = []
    await unlessSlow(producer().redeliverMs, async () => {
      const s = await stream()
      const [one, two] = [consumer(s), consumer(s)]
      await producer().send(s, ['a'])
      expect(texts(await one.take(1))).toEqual(['a'])
      expect(await two.take(1)).toEqual([])
      seconds.push(two)
    })
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000)
    try {
      for (const two of seconds) expect(texts(await takeAll(two, 1))).toEqual(['a'])
    } finally {
      clock.mockRestore()
    }
  })

  it('counts waiting entries if deletions made the server lose its count', async () => {
    const s = await stream()
    const one = consumer(s)
    await producer().send(s, ['a', 'b', 'c', 'd'])
    await one.acknowledge(await one.take(1))
    await withRedis(async (redis) => {
      const [, second] = await redis.xrange(s, '-', '+')
      await redis.xdel(s, second?.[0] ?? '')
    })
    expect(await one.lag()).toEqual({ waiting: 2, pending: 0 })
    expect(texts(await one.take(9))).toEqual(['c', 'd'])
  })

  it('forgets a closed consumer, but not its pending messages', async () => {
    const s = await stream()
    const at = serversAt(producer().server.url)
    const consumers = (): Promise<number> =>
      withRedis(async (redis) => ((await redis.call('XINFO', 'CONSUMERS', s, 'lockstep')) as []).length)
    await producer().send(s, ['a', 'b'])
    const [one, two] = [0, 1].map(() => openConsumer(at, producer().spec(s), { redeliverMs: 60_000 }))
    await two?.take(1)
    await one?.acknowledge((await one.take(1)) ?? [])
    expect(await consumers()).toBe(2)
    await one?.close()
    await two?.close()
    expect(await consumers()).toBe(1)
    expect(await consumer(s).lag()).toEqual({ waiting: 0, pending: 1 })
  })

  it('names the setting that is missing', () => {
    expect(() => openConsumer({ streamRedisUrl: null, natsUrl: null, kafkaUrl: null }, producer().spec('s'), { redeliverMs: 1 })).toThrow(
      'LOCKSTEP_STREAM_REDIS_URL',
    )
  })
})
