import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { MultipleErrors, ProtocolError } from '@platformatic/kafka'
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { isTooLarge } from '../../../runtime/streams/kafka-reason.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { openSink } from '../../../runtime/streams/open-sink.ts'
import type { OutputMessage, StreamSink } from '../../../runtime/streams/stream-sink.ts'
import { testSchemaRegistry } from '../../services/schema-registry.ts'
import type { Producer, Written } from './producers.ts'
import { kafkaProducer, natsProducer, redisProducer, serversAt } from './producers.ts'

const atEnd = (written: readonly Written[]): boolean => written.at(-1)?.value === '"end"'

const message = (id: string, more: Partial<OutputMessage> = {}): OutputMessage => ({
  id,
  writtenAs: id,
  input: '0-0',
  key: 'k',
  value: `"${id}"`,
  ...more,
})

interface Kind {
  readonly start: () => Promise<Producer>
  /** Whether the server knows ids that it was given before. */
  readonly knows: boolean
  readonly setting: string
  /** Lets the server refuse a message of 2 MB, where it does not so far; null: it cannot. */
  readonly limit: ((url: string) => Promise<void>) | null
}

interface SinkTools {
  producer(): Producer
  /** A sink of a new stream. */
  newSink(): Promise<{ stream: string; sink: StreamSink }>
  opened(stream: string, redeliverMs?: number): StreamSink
  /** Closed after the test. */
  track(sink: StreamSink): StreamSink
}

/** The contract of every kind of sink. */
function sinkContract(name: string, kind: Kind, more: (tools: SinkTools) => void): void {
  describe(`the sink of ${name}`, () => {
    sinkTests(kind, more)
  })
}

function sinkTests({ start, knows, setting, limit }: Kind, more: (tools: SinkTools) => void): void {
  let producer: Producer
  const open: StreamSink[] = []
  beforeAll(async () => {
    producer = await start()
  })
  afterEach(async () => void (await Promise.all(open.splice(0).map((sink) => sink.close()))))
  afterAll(async () => {
    await producer?.close()
  })

  async function newSink(): Promise<{ stream: string; sink: StreamSink }> {
    const stream = `o${randomBytes(4).toString('hex')}`
    await producer.make(stream)
    return { stream, sink: opened(stream) }
  }

  function opened(stream: string, redeliverMs = 30_000): StreamSink {
    const sink = openSink(serversAt(producer.server.url), producer.sink(stream), { from: null, redeliverMs })
    open.push(sink)
    return sink
  }

  it('writes messages of a key in order, with id and key, however often they are repeated', async () => {
    const { stream, sink } = await newSink()
    await sink.check()
    const sent = Array.from({ length: 300 }, (_, i) => message(`m${i}`, { key: 'Zürich "ZRH"' }))
    await sink.produce(sent)
    await sink.produce([])
    await sink.produce([message('end')].map((last) => ({ ...last, key: 'Zürich "ZRH"' })))
    const written = await producer.read(stream, atEnd)
    expect(written.slice(0, -1)).toEqual(sent.map(({ id, key, value }) => ({ id, key, value })))
  })

  it('writes an id once where the server knows ids, and else under the same id', async () => {
    const { stream, sink } = await newSink()
    const [a, b] = [message('a'), message('b')]
    await sink.produce([a])
    // another process after a failure of the first
    await opened(stream).produce([a, b])
    await sink.produce([{ ...a, writtenAs: 'a~1', value: '"again"' }, message('end')])
    const values = (await producer.read(stream, atEnd)).map(({ id, value }) => [id, value])
    const repeat = knows ? [] : [['a', '"a"']]
    expect(values).toEqual([['a', '"a"'], ...repeat, ['b', '"b"'], ['a', '"again"'], ['end', '"end"']])
  })

  it('names a server that does not answer, and goes on when it is back', async () => {
    const { stream, sink } = await newSink()
    await sink.produce([message('a')])
    await producer.server.stop()
    await expect(sink.produce([message('b')])).rejects.toMatchObject({
      code: 'STREAM_UNAVAILABLE',
      message: expect.stringMatching(
        new RegExp(`"${stream}" at "${new URL(producer.server.url).host}" cannot be written.*${setting}`),
      ) as string,
    })
    await producer.server.start()
    await vi.waitFor(() => sink.produce([message('b'), message('end')]), { timeout: 60_000, interval: 100 })
    const ids = (await producer.read(stream, atEnd)).map(({ id }) => id)
    expect([...new Set(ids)]).toEqual(['a', 'b', 'end'])
    if (knows) expect(ids).toHaveLength(3)
  })

  it('says of a message that is too large that it is, and writes the others', async () => {
    const { stream, sink } = await newSink()
    await limit?.(producer.server.url)
    await sink.check()
    const large = message('large', { value: JSON.stringify('x'.repeat(2 << 20)) })
    if (limit !== null)
      await expect(sink.produce([message('a'), large])).rejects.toMatchObject({
        code: 'MESSAGE_TOO_LARGE',
        message: expect.stringMatching(new RegExp(`"${stream}" takes no message of this size. Raise `)) as string,
      })
    await sink.produce([message('a')])
    // several are not too large together
    const sent = Array.from({ length: 40 }, (_, i) => message(`m${i}`, { value: JSON.stringify('x'.repeat(50_000)) }))
    await sink.produce([...sent, message('end')])
    const ids = (await producer.read(stream, atEnd)).map(({ id }) => id)
    expect([...new Set(ids)]).toEqual(['a', ...sent.map(({ id }) => id), 'end'])
  })

  it('names the setting that is missing', () => {
    const nowhere = { streamRedisUrl: null, natsUrl: null, kafkaUrl: null }
    expect(() => openSink(nowhere, producer.sink('s'), { from: null, redeliverMs: 1 })).toThrow(setting)
  })

  more({ producer: () => producer, newSink, opened, track: (sink) => (open.push(sink), sink) })
}

function reportsMissing({ opened }: SinkTools): void {
  it('reports that the stream or topic does not exist', async () => {
    const missing = { code: 'STREAM_UNAVAILABLE', message: expect.stringMatching(/stream not found|topic does not exist/) as string }
    await expect(opened('nothing').check()).rejects.toMatchObject(missing)
    await expect(opened('nothing').produce([message('a')])).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' })
  })
}

sinkContract(
  'a Redis Stream',
  {
    start: redisProducer,
    knows: true,
    setting: 'LOCKSTEP_STREAM_REDIS_URL',
    async limit(url) {
      const redis = new Redis(url)
      await redis.config('SET', 'proto-max-bulk-len', '1mb')
      redis.disconnect()
    },
  },
  ({ producer, newSink, opened, track }) => {
    it('acknowledges what it answers in the same step, and answers nothing twice', async () => {
      const [from, to] = [0, 1].map(() => `a${randomBytes(4).toString('hex')}`) as [string, string]
      const at = serversAt(producer().server.url)
      const spec = producer().spec(from)
      const consumer = openConsumer(at, spec, { redeliverMs: 60_000 })
      await producer().send(from, ['a', 'b', 'c'])
      const taken = await consumer.take(3)
      const sink = openSink(at, producer().sink(to), { from: spec, redeliverMs: 60_000 })
      track(sink)
      const answers = taken.map(({ id }, i) => message(String(i), { input: id }))
      await sink.produce(answers.slice(0, 2))
      expect(await consumer.lag()).toEqual({ waiting: 0, pending: 1 })
      await sink.produce(answers)
      expect(await consumer.lag()).toEqual({ waiting: 0, pending: 0 })
      await opened(to).produce([message('end')])
      expect((await producer().read(to, atEnd)).map(({ id }) => id)).toEqual(['0', '1', '2', 'end'])
      await consumer.close()
    })

    it('writes nothing for a group that is gone, and its messages are read again', async () => {
      const [from, to] = [0, 1].map(() => `a${randomBytes(4).toString('hex')}`) as [string, string]
      const at = serversAt(producer().server.url)
      const spec = producer().spec(from)
      const consumer = openConsumer(at, spec, { redeliverMs: 60_000 })
      await producer().send(from, ['a', 'b'])
      const taken = await consumer.take(2)
      const sink = openSink(at, producer().sink(to), { from: spec, redeliverMs: 60_000 })
      track(sink)
      const answers = taken.map(({ id }, i) => message(String(i), { input: id }))
      const redis = new Redis(producer().server.url)
      await redis.xgroup('DESTROY', from, 'lockstep')
      redis.disconnect()
      await sink.produce(answers)
      await expect(consumer.take(2)).rejects.toThrow('NOGROUP')
      expect(await consumer.take(2)).toEqual(taken)
      await sink.produce(answers)
      await opened(to).produce([message('end')])
      expect((await producer().read(to, atEnd)).map(({ id }) => id)).toEqual(['0', '1', 'end'])
      await consumer.close()
    })

    it('notes nothing as written that cannot be added, and keeps the stream short', async () => {
      const { stream, sink } = await newSink()
      const redis = new Redis(producer().server.url)
      try {
        await redis.set(stream, 'no stream')
        await expect(sink.produce([message('a')])).rejects.toThrow('WRONGTYPE')
        await redis.del(stream)
        await sink.produce([message('a')])
        expect(await redis.xlen(stream)).toBe(1)
        const short = openSink(
          serversAt(producer().server.url),
          { kind: 'redis', stream, field: 'data', maxLength: 100, windowSeconds: 60 },
          { from: null, redeliverMs: 1 },
        )
        track(short)
        for (let i = 0; i < 4; i++) await short.produce(Array.from({ length: 200 }, (_, k) => message(`${i}-${k}`)))
        expect(await redis.xlen(stream)).toBeLessThan(300)
      } finally {
        redis.disconnect()
      }
    })
  },
)

sinkContract(
  'a JetStream stream',
  { start: natsProducer, knows: true, setting: 'LOCKSTEP_NATS_URL', limit: async () => undefined },
  (tools) => {
    const { producer, opened } = tools
    reportsMissing(tools)

    it('refuses a duplicate window that is shorter than redelivery', async () => {
      const nats = await connect({ servers: new URL(producer().server.url).host })
      const streams = (await jetstreamManager(nats)).streams
      await streams.add({ name: 'short', subjects: ['short.>'], duplicate_window: 10e9 })
      await nats.close()
      await expect(opened('short').check()).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('"short" forgets ids after 10 s') as string,
      })
      await opened('short', 9_000).check()
    })

    it('heeds the limit of the stream, too', async () => {
      const nats = await connect({ servers: new URL(producer().server.url).host })
      await (await jetstreamManager(nats)).streams.add({ name: 'narrow', subjects: ['narrow.>'], max_msg_size: 1_000 })
      await nats.close()
      await expect(opened('narrow').produce([message('a'.repeat(1_000))])).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    })
  },
)

sinkContract('a Kafka topic', { start: kafkaProducer, knows: false, setting: 'LOCKSTEP_KAFKA_URL', limit: null }, (tools) => {
  reportsMissing(tools)

  it('writes answers in Avro, by a schema that it registers', async () => {
    const { producer, track } = tools
    const registry = await testSchemaRegistry()
    try {
      await producer().make('in_avro')
      const servers = { ...serversAt(producer().server.url), schemaRegistryUrl: registry.url }
      const outputs = [{ name: 'p', type: { kind: 'float32' } as const }]
      const answer = { pipeline: 'score', key: ['card'], outputs }
      const sink = track(openSink(servers, { kind: 'kafka', stream: 'in_avro', format: 'avro' }, { from: null, redeliverMs: 1, answer }))
      registry.refuse(409, 'they differ')
      await expect(sink.check()).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('does not take the schema of "in_avro-value": they differ.') as string,
      })
      registry.refuse(0, '')
      await sink.check()
      const sent = { id: 'a', pipeline: 'score', key: { card: 'c' }, model: 'm', version: 1, role: 'champion', asOf: '2026-03-01T10:26:00Z', predictionId: 'p/0', prediction: { p: 0.25 } } // prettier-ignore
      await sink.produce([message('a', { value: JSON.stringify(sent) })])
      const consumer = openConsumer(servers, { kind: 'kafka', stream: 'in_avro', group: 'avro', format: 'avro' }, { redeliverMs: 4_000 })
      const got: unknown[] = []
      await vi.waitFor(async () => {
        got.push(...(await consumer.take(1)).map(({ body }) => JSON.parse(String(body)) as unknown))
        expect(got).toEqual([{ ...sent, experiment: null, variant: null, outputStatuses: null }])
      }, 60_000)
      await consumer.close()
    } finally {
      await registry.stop()
    }
  })

  it('knows the errors of brokers that refuse a size', () => {
    const refused = (code: string): Error => new MultipleErrors('Cannot produce.', [new ProtocolError(code)])
    expect(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'NOT_LEADER_OR_FOLLOWER'].map((code) => isTooLarge(refused(code)))).toEqual([
      true,
      true,
      false,
    ])
  })
})
