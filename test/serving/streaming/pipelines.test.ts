import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { StreamSpec } from '../../../kernel/specs/stream-spec.ts'
import { foldTransactions } from '../../../materializer/events/fold-transactions.ts'
import { readDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { PipelineSpec } from '../../../registry/pipeline-spec.ts'
import { createLogger } from '../../../runtime/log.ts'
import { groupOf, openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { openEnds } from '../../../runtime/streams/open-sink.ts'
import type { LockstepServer } from '../../../serving/server-options.ts'
import type { PipelineMetrics } from '../../../serving/streaming/pipeline-metrics.ts'
import { createPipelineMinutes } from '../../../serving/streaming/pipeline-minutes.ts'
import { readPipelineActivity } from '../../../serving/streaming/read-pipeline-minutes.ts'
import { pausePipeline, replayPipeline } from '../../../serving/streaming/pipeline-state.ts'
import { runPipeline } from '../../../serving/streaming/run-pipeline.ts'
import { runPipelines } from '../../../serving/streaming/run-pipelines.ts'
import type { Producer, Written } from '../../runtime/streams/producers.ts'
import { kafkaProducer, natsProducer, redisProducer } from '../../runtime/streams/producers.ts'
import type { World } from '../world.ts'
import { ask, createWorld } from '../world.ts'
import { endlessModel } from '../../inference/made-models.ts'
import { testSchemaRegistry } from '../../services/schema-registry.ts'
import { unlessSlow } from '../../unless-slow.ts'
import { declared } from '../definitions.ts'
import { landing, landingsPipeline, streamingSet } from './pipeline-world.ts'

const kinds = ['redis', 'nats', 'kafka'] as const
type Kind = (typeof kinds)[number]
const log = createLogger('silent')
const none: PipelineMetrics = {
  messages: () => undefined,
  answered: () => undefined,
  lag: () => undefined,
  age: () => undefined,
  failure: () => undefined,
  retry: () => undefined,
  waiting: () => undefined,
  overCap: () => undefined,
}

let world: World
let server: LockstepServer
let url: string
let producers: Record<Kind, Producer>

beforeAll(async () => {
  const [redis, nats, kafka] = await Promise.all([redisProducer(), natsProducer(), kafkaProducer()])
  producers = { redis, nats, kafka }
  world = await createWorld('redis', streamingSet(redis.spec('landed'), []))
  for (const view of ['airport_delays', 'airport_typed', 'airport_required']) await world.materialize(view, Date.now() * 1000)
  await world.push('delay', 'logistic')
  await world.push('echo', endlessModel())
  const config = { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map<string, number>() }, logRetentionDays: 30 }
  ;({ server, url } = await world.serve({ clock: () => Date.now() * 1000, config, predictionLog: { flushMs: 50 } }))
  await server.whenReady()
})

afterAll(async () => {
  await world?.close()
  for (const producer of Object.values(producers ?? {})) await producer.close()
})

function servers() {
  return { streamRedisUrl: producers.redis.server.url, natsUrl: producers.nats.server.url, kafkaUrl: producers.kafka.server.url }
}

interface Started {
  readonly stream: StreamSpec
  stop(): Promise<void>
}

/** Runs a pipeline in this process. */
function run(from: string, to: string, kind: Kind, sink: Kind, more: Partial<PipelineSpec> = {}, metrics = none): Started {
  const generation = 0
  const stream = producers[kind].spec(from, more.group ?? 'p')
  const pipeline = landingsPipeline({ name: `${kind}_${sink}`, sink: producers[sink].sink(to), ...more })
  const stopped = new AbortController()
  const { redeliverMs } = producers[kind]
  const { consumer, sink: written } = openEnds(servers(), pipeline.sink, { from: stream, redeliverMs })
  const { context, database, store } = server.predicting
  const source = context.catalog().source('landings')
  const fold = async (xids: readonly number[]): Promise<void> => {
    await foldTransactions(database(), store(), context.catalog().onlineReaders(source), xids)
  }
  const deps = { db: database(), context, pipeline, source, stream, generation, consumer, sink: written, fold, metrics, log }
  const options = { signal: stopped.signal, futureMicros: 600_000_000, messageLimitBytes: 10_000, checkSinkMs: 50 }
  const done = runPipeline({ ...deps, clock: context.clock }, options)
  return {
    stream,
    async stop() {
      stopped.abort()
      await done
      await consumer.close()
      await written.close()
    },
  }
}

interface Answer {
  readonly id: string
  readonly key: { readonly airport: string }
  readonly model: string
  readonly version: number
  readonly asOf: string
  readonly predictionId: string
  readonly prediction: { readonly probabilities: number }
}
const answers = (written: readonly Written[]): Answer[] => written.map(({ value }) => JSON.parse(value) as Answer)
const ids = (written: readonly Written[]): Set<string> => new Set(written.map(({ id }) => id))

describe.each([...kinds.flatMap((kind) => kinds.map((sink) => [kind, sink, ''] as const)), ['kafka', 'kafka', '_transactions'] as const])(
  'a pipeline from %s to %s%s',
  (kind, sink, more) => {
    const name = `${kind}_${sink}${more}`
    const [from, to] = [`in_${name}`, `out_${name}`]
    const count = 40

    it.concurrent('answers each message once, after its own event, as a request at that moment is answered', async () => {
      await producers[kind].make(from)
      await producers[sink].make(to)
      const airports = Array.from({ length: count }, (_, i) => `${name}${i}`)
      const stated = producers[sink].sink(to)
      const started = run(from, to, kind, sink, {
        name,
        sink: stated.kind === 'kafka' && more !== '' ? { ...stated, transactions: true } : stated,
      })
      try {
        const bad = ['not JSON', landing('X', null)]
        await producers[kind].send(from, [...airports.map((airport, i) => landing(airport, i + 1)), ...bad])
        const written = await producers[sink].read(to, (all) => ids(all).size === count)
        expect(written).toHaveLength(count)
        const all = answers(written)
        expect(new Set(all.map(({ key }) => key.airport))).toEqual(new Set(airports))
        expect(all.map(({ key }) => key.airport)).toEqual(written.map(({ key }) => key))
        // no airport has a landing but its own, so an answer that misses it has no delay
        for (const each of all.filter((_, i) => i % 8 === 0)) {
          const { airport } = each.key
          const distance = airports.indexOf(airport) + 1
          const { body } = await ask(url, '/v1/predict', {
            model: 'delay',
            entities: [{ airport, distance }],
            asOf: each.asOf,
            include: ['features'],
          })
          expect(body.features).toEqual([expect.objectContaining({ lastDelay: distance, landed1h: 1 })])
          expect(body.predictions).toEqual([each.prediction])
          expect([each.model, each.version]).toEqual(['delay', 1])
        }
        await vi.waitFor(async () => {
          const letters = (await readDeadLetters(world.db, {})).filter(({ stream }) => stream === `${kind}:${from}`)
          // what is no event is a letter of the source, whose own consumer finds it, too
          expect(Object.fromEntries(letters.map((letter) => [letter.source, letter.reason]))).toEqual({
            landings: 'not_json',
            [`pipeline ${name}`]: 'missing_request_value',
          })
        }, 60_000)
      } finally {
        await started.stop()
      }
      const watcher = openConsumer(servers(), started.stream, { redeliverMs: 1_000 })
      // Tansu counts only one message of the last batch of a partition
      await expect.poll(async () => (await watcher.lag()).waiting).toBe(0)
      await watcher.close()
    })
  },
)

it('counts what a pipeline answered and could not answer, by minute, and why it waits until it goes on', async () => {
  const minuteMicros = 60_000_000
  let now = Math.floor((Date.now() * 1000) / minuteMicros) * minuteMicros + 58_000_000
  const [one, other] = [createPipelineMinutes(none, () => now), createPipelineMinutes(none, () => now)]
  const activity = async () => (await readPipelineActivity(world.db, now)).get('counted')
  for (const each of [one, other]) each.began('counted')
  one.metrics.messages('counted', { answered: 40, dead: 2 })
  // a sign of two halves where the text is cut
  one.metrics.failure('counted', new Error(`${'x'.repeat(999)}\u{1F600}`))
  for (const each of [one, other, one]) await each.write(world.db)
  expect(await activity()).toMatchObject({
    workers: 2,
    failing: `${'x'.repeat(999)}\uFFFD`,
    perSecond: expect.closeTo(40 / 298, 5) as number,
  })
  one.metrics.waiting('counted', null)
  now += 3_000_000
  other.metrics.failure('counted', new Error('of the other'))
  for (const each of [one, other]) await each.write(world.db)
  expect(await activity()).toMatchObject({ workers: 2, failing: 'of the other' })
  other.metrics.waiting('counted', null)
  await other.write(world.db)
  expect(await activity()).toMatchObject({ workers: 2, failing: null, lastError: { text: 'of the other' } })
  const [counted] = await world.db.query(
    `select sum(answered)::int4 as answered, sum(dead)::int4 as dead from lockstep.pipeline_minutes where pipeline = 'counted'`,
  )
  expect(counted).toEqual({ answered: 40, dead: 2 })
})

it('makes a dead letter of a message whose answer is too large, and goes on', async () => {
  await producers.nats.make('wide_in')
  const nats = await connect({ servers: new URL(producers.nats.server.url).host })
  await (await jetstreamManager(nats)).streams.add({ name: 'narrow', subjects: ['narrow.>'], max_msg_size: 1_500 })
  await nats.close()
  const started = run('wide_in', 'narrow', 'nats', 'nats', { name: 'too_large' })
  try {
    const airports = ['a', 'b', 'w'.repeat(1_000), 'c', 'd']
    await producers.nats.send(
      'wide_in',
      airports.map((airport) => landing(airport, 1)),
    )
    const written = await producers.nats.read('narrow', (all) => all.length === 4)
    expect(written.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd'])
    await vi.waitFor(async () => {
      const letters = await readDeadLetters(world.db, { source: 'pipeline too_large' })
      expect(letters).toMatchObject([{ reason: 'message_too_large', error: expect.stringContaining('Raise max_msg_size') as string }])
    }, 60_000)
  } finally {
    await started.stop()
  }
})

it('tries a message that times out again, logs the others once, and then makes a dead letter of it', async () => {
  // four runs of the second message take the 1 s that a run may take; that of another does only if it was held up
  await unlessSlow(5_000, async (attempt) => {
    const [name, from, to] = [`slow${attempt}`, `slow_in${attempt}`, `slow_out${attempt}`]
    await producers.redis.make(from)
    const [airports, counts] = [['A', 'B', 'C', 'D'].map((letter) => name + letter), { retries: 0, answered: 0, dead: 0 }]
    const others = airports.toSpliced(1, 1)
    const reasons = new Set<string | null>()
    const metrics: PipelineMetrics = {
      ...none,
      messages(_, { answered, dead }) {
        counts.answered += answered
        counts.dead += dead
      },
      retry: () => counts.retries++,
      waiting: (_, reason) => reasons.add(reason),
    }
    // the model runs as often as the feature says that is the delay over the distance: for the second message without
    // end
    const messages = airports.map((airport, i) => JSON.stringify({ ...JSON.parse(landing(airport, 1)), amount: i === 1 ? 1e-17 : 1 }))
    await producers.redis.send(from, messages)
    const entities = [
      { field: 'airport', column: 'airport' },
      { field: 'distance', column: 'amount' },
    ]
    // two workers: the second does not get what the first works on, however long that takes
    const [started, second] = [0, 1].map(() => run(from, to, 'redis', 'redis', { name, model: 'echo', entities, tries: 2 }, metrics))
    try {
      const written = await producers.redis.read(to, (all) => all.length === 3)
      expect(written.map(({ key }) => key)).toEqual(others)
      await vi.waitFor(() => expect(counts.answered + counts.dead).toBe(4), 60_000)
      expect(counts).toEqual({ retries: 1, answered: 3, dead: 1 })
      expect(reasons).toEqual(new Set(['model_timeout', null]))
      const letters = await readDeadLetters(world.db, { source: `pipeline ${name}` })
      expect(letters).toMatchObject([
        { reason: 'model_timeout', error: expect.stringContaining('The message was tried 2 times.') as string },
      ])
      await vi.waitFor(async () => {
        const logged = await world.db.query<{ airport: string }>(
          `select keys->>'airport' as airport from lockstep.prediction_log where keys->>'airport' like $1 order by 1`,
          [`${name}%`],
        )
        expect(logged.map(({ airport }) => airport)).toEqual(others)
      }, 60_000)
    } finally {
      await Promise.all([started?.stop(), second?.stop()])
    }
  })
})

it('waits while the duplicate window of its stream is too short, also if that changes later', async () => {
  const nats = await connect({ servers: new URL(producers.nats.server.url).host })
  const streams = (await jetstreamManager(nats)).streams
  const config = { name: 'window', subjects: ['window.>'] }
  await streams.add(config)
  await producers.redis.make('window_in')
  const reasons: (string | null)[] = []
  const metrics = { ...none, waiting: (_: string, reason: string | null) => void reasons.push(reason) }
  const started = run('window_in', 'window', 'redis', 'nats', { name: 'window' }, metrics)
  try {
    await producers.redis.send('window_in', [landing('w1', 1)])
    await producers.nats.read('window', (all) => all.length === 1)
    await streams.update('window', { duplicate_window: 100e6 })
    await vi.waitFor(() => expect(reasons).toContain('config_invalid'), 60_000)
    await producers.redis.send('window_in', [landing('w2', 1)])
    await streams.update('window', { duplicate_window: 120e9 })
    const written = await producers.nats.read('window', (all) => all.length === 2)
    expect(written.map(({ key }) => key)).toEqual(['w1', 'w2'])
    expect(reasons.at(-1)).toBe(null)
  } finally {
    await started.stop()
    await nats.close()
  }
})

it('deletes the group of a replay that was replaced a while ago', async () => {
  const pipeline = landingsPipeline({ name: 'replayed', group: 'replayed' })
  const catalog = server.predicting.context.catalog()
  const replay = () => replayPipeline(world.db, servers(), catalog, pipeline, { position: '0-1' }, { actor: 'test' })
  await replay()
  await replay()
  await replay()
  await world.db.query(`update lockstep.pipelines set replayed_at = now() - interval '2 minutes' where name = 'replayed'`, [])
  expect(await replay()).toBe(4)
  const redis = new Redis(producers.redis.server.url)
  const groups = (await redis.xinfo('GROUPS', 'landed')) as string[][]
  redis.disconnect()
  expect(groups.map(([, name]) => name)).toEqual(['replayed_r1', 'replayed_r3', 'replayed_r4'])
})

it.each(kinds)('the group of a stream of %s starts again after it was deleted', async (kind) => {
  const stream = `ended_${kind}`
  await producers[kind].make(stream)
  await producers[kind].send(stream, ['a'])
  const spec = producers[kind].spec(stream, 'ended')
  const group = await groupOf(servers(), spec)
  await group.begin({ atMs: Date.now() + 60_000 })
  await group.end()
  const consumer = openConsumer(servers(), spec, { redeliverMs: producers[kind].redeliverMs })
  const taken: string[] = []
  await vi.waitFor(async () => {
    taken.push(...(await consumer.take(1)).map(({ body }) => String(body)))
    expect(taken).toEqual(['a'])
  }, 60_000)
  await consumer.close()
})

it.each([
  [true, 'the same answer'],
  [false, 'an answer of its own'],
])('with a ledger (%s), a message that is read again gets %s', async (ledger) => {
  const [from, to] = [`again_${ledger}`, `answers_${ledger}`]
  await producers.nats.make(from)
  await producers.kafka.make(to)
  await producers.nats.send(
    from,
    Array.from({ length: 30 }, (_, i) => landing(`L${ledger}${i}`, i + 1)),
  )
  for (const [i, group] of ['first', 'second'].entries()) {
    const started = run(from, to, 'nats', 'kafka', { name: `ledger_${ledger}`, ledger, group })
    await producers.kafka.read(to, (all) => all.length >= 30 * (i + 1))
    await started.stop()
  }
  const written = await producers.kafka.read(to, (all) => all.length >= 60)
  expect(ids(written).size).toBe(30)
  expect(new Set(written.map(({ value }) => value)).size).toBe(ledger ? 30 : 60)
})

it('starts a pipeline again that could not be started', async () => {
  await producers.redis.make('late_in')
  await applyChanges(
    world.db,
    streamingSet(producers.redis.spec('late_in'), [landingsPipeline({ sink: producers.redis.sink('late_out') })]),
  )
  await vi.waitFor(() => expect(server.predicting.context.catalog().pipelines.size).toBe(1), 60_000)
  const config = { ...servers(), streamRedisUrl: null as string | null, bodyLimitBytes: 10_000, futureMicros: 600_000_000 }
  const stopped = new AbortController()
  let failures = 0
  const reasons: (string | null)[] = []
  const metrics = { ...none, failure: () => void failures++, waiting: (_: string, reason: string | null) => void reasons.push(reason) }
  const done = runPipelines({ predicting: server.predicting, config, metrics, log }, { signal: stopped.signal })
  try {
    await vi.waitFor(() => expect(failures).toBeGreaterThan(1), 60_000)
    config.streamRedisUrl = producers.redis.server.url
    await producers.redis.send('late_in', [landing('late', 1)])
    await producers.redis.read('late_out', (all) => all.some(({ key }) => key === 'late'))
    expect([reasons[0], reasons.at(-1)]).toEqual(['config_invalid', null])
  } finally {
    stopped.abort()
    await done
  }
})

it('a pipeline to a sink in Avro registers its schema again when the outputs of its model change', async () => {
  const registry = await testSchemaRegistry()
  await producers.redis.make('avro_in')
  await producers.kafka.make('avro_out')
  const sink = { kind: 'kafka', stream: 'avro_out', format: 'avro' } as const
  const set = streamingSet(producers.redis.spec('avro_in'), [landingsPipeline({ name: 'avro', group: 'avro', model: 'strict', sink })])
  const schema = async (version: number): Promise<string> =>
    await (await fetch(`${registry.url}/subjects/avro_out-value/versions/${version}`)).text()
  const output = [{ name: 'other', type: { kind: 'float64' } }] as const
  await applyChanges(world.db, set)
  const stopped = new AbortController()
  const config = { ...servers(), schemaRegistryUrl: registry.url, bodyLimitBytes: 10_000, futureMicros: 600_000_000 }
  const done = runPipelines({ predicting: server.predicting, config, metrics: none, log }, { signal: stopped.signal })
  try {
    await vi.waitFor(async () => expect(await schema(1)).toContain('Prediction'), 60_000)
    const models = set.models.map((each) => (each.spec.name === 'strict' ? declared({ ...each.spec, output }) : each))
    await applyChanges(world.db, { ...set, models })
    await vi.waitFor(async () => expect(await schema(2)).toContain('other'), 60_000)
  } finally {
    stopped.abort()
    await done
    await registry.stop()
  }
})

it('a paused pipeline whose model times out in each run ends within seconds, and holds up no other', async () => {
  await producers.redis.make('stuck_in')
  await producers.redis.send(
    'stuck_in',
    Array.from({ length: 40 }, (_, i) => JSON.stringify({ ...JSON.parse(landing(`stuck${i}`, 1)), amount: 1e-17 })),
  )
  const entities = [
    { field: 'airport', column: 'airport' },
    { field: 'distance', column: 'amount' },
  ]
  const stuck = landingsPipeline({ name: 'stuck', group: 'stuck', model: 'echo', entities, sink: producers.redis.sink('stuck_out') })
  const free = landingsPipeline({ name: 'free', group: 'free', sink: producers.redis.sink('free_out') })
  await pausePipeline(world.db, 'free', { actor: 'test' })
  await applyChanges(world.db, streamingSet(producers.redis.spec('stuck_in'), [stuck, free]))
  await vi.waitFor(() => expect([...server.predicting.context.catalog().pipelines.keys()]).toContain('stuck'), 60_000)
  const events: string[] = []
  const metrics: PipelineMetrics = {
    ...none,
    failure: (name) => void events.push(`${name} failed`),
    waiting: (name, reason) => void events.push(`${name} ${reason ?? 'goes on'}`),
    messages: (name) => void events.push(`${name} answered`),
  }
  const config = { ...servers(), bodyLimitBytes: 10_000, futureMicros: 600_000_000 }
  const stopped = new AbortController()
  const done = runPipelines({ predicting: server.predicting, config, metrics, log }, { signal: stopped.signal, drainMs: 5_000 })
  try {
    await vi.waitFor(
      () =>
        expect(events.filter((event) => event.startsWith('stuck')).slice(0, 3)).toEqual([
          'stuck goes on',
          'stuck failed',
          'stuck model_timeout',
        ]),
      60_000,
    )
    // both are seen by the same look
    await world.db.query(
      `insert into lockstep.pipelines (name, paused_at) values ('stuck', now()), ('free', null)
      on conflict (name) do update set paused_at = excluded.paused_at`,
      [],
    )
    await vi.waitFor(() => expect(events.filter((event) => event === 'stuck goes on')).not.toHaveLength(1), 100_000)
    expect(events.slice(0, events.lastIndexOf('stuck goes on'))).toContain('free answered')
    expect(events).not.toContain('stuck answered')
  } finally {
    stopped.abort()
    await done
  }
})
