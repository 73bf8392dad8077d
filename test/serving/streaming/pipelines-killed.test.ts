import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { readDeadLetters } from '../../../materializer/streams/dead-letters.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { DefinitionSet } from '../../../registry/load/definition-set.ts'
import type { PipelineSpec } from '../../../registry/pipeline-spec.ts'
import { withTimeout } from '../../../runtime/async.ts'
import { unknownActor } from '../../../runtime/audit.ts'
import { pausePipeline, replayPipeline, resumePipeline } from '../../../serving/streaming/pipeline-state.ts'
import { pipelineLag } from '../../../serving/streaming/pipeline-status.ts'
import { seeded } from '../../parity/fire/fire-events.ts'
import type { Producer, Written } from '../../runtime/streams/producers.ts'
import { kafkaProducer, natsProducer, redisProducer } from '../../runtime/streams/producers.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { declared, servingSet } from '../definitions.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import { landing, landingsPipeline } from './pipeline-world.ts'

// Pipelines from each kind of stream to each, whose processes are killed, while servers go away or are slow, and some
// messages are poison. `npm run kill-pipelines` has 111,200 messages in each stream, so a million answers.

const messages = Number(process.env['LOCKSTEP_TEST_PIPELINE_MESSAGES'] ?? 500)
const kills = Number(process.env['LOCKSTEP_TEST_PIPELINE_KILLS'] ?? 2)
/** How long one step may take. */
const stepMs = 120_000 + messages * 50
const random = seeded(Number(process.env['LOCKSTEP_TEST_CHAOS_SEED'] ?? 7))

const kinds = ['redis', 'nats', 'kafka'] as const
type Kind = (typeof kinds)[number]
const pairs = kinds.flatMap((from) => kinds.map((to) => [from, to] as const))

let world: World
let producers: Record<Kind, Producer> & { readonly kafka: Awaited<ReturnType<typeof kafkaProducer>> }
const living = new Set<ChildProcess>()
/** The log of the processes. */
const logged: string[] = []

/** A source for each kind of stream, and from each a pipeline to each kind of sink. */
function matrix(): DefinitionSet {
  const landings = servingSet.sources.find(({ spec }) => spec.name === 'landings')
  if (landings === undefined) throw new Error('There is no source "landings".')
  const sources = kinds.map((kind) => ({
    ...declared({ ...landings.spec, name: `landings_${kind}` }),
    operational: { stream: producers[kind].spec(`in_${kind}`, 'own') },
  }))
  const delays = servingSet.views.find(({ spec }) => spec.name === 'airport_delays')
  if (delays === undefined) throw new Error('There is no view "airport_delays".')
  const views = sources.map(({ spec: source }) => ({
    ...declared({ ...delays.spec, name: `delays_of_${source.name}`, source }),
    operational: { online: true },
  }))
  const pipelines = pairs.map(([from, to]): PipelineSpec => {
    const name = `${from}_${to}`
    const stated = producers[to].sink(`out_${name}`)
    const sink = stated.kind === 'kafka' && from === 'kafka' ? { ...stated, transactions: true as const } : stated
    return landingsPipeline({ name, source: `landings_${from}`, sink, group: `g_${name}`, ledger: from === 'nats' })
  })
  return {
    ...servingSet,
    sources: [...servingSet.sources, ...sources],
    views: [...servingSet.views, ...views],
    pipelines: pipelines.map(declared),
  }
}

beforeAll(async () => {
  const [redis, nats, kafka] = await Promise.all([redisProducer(), natsProducer(), kafkaProducer()])
  producers = { redis, nats, kafka }
  for (const kind of kinds) await producers[kind].make(`in_${kind}`)
  for (const [from, to] of pairs) await producers[to].make(`out_${from}_${to}`)
  world = await createWorld('redis')
  await world.push('delay', 'logistic')
  await applyChanges(world.db, matrix())
  const views = [
    'airport_delays',
    'airport_typed',
    'airport_required',
    'account_balance',
    ...kinds.map((kind) => `delays_of_landings_${kind}`),
  ]
  for (const view of views) await world.materialize(view, Date.now() * 1000)
})

afterAll(async () => {
  for (const child of living) child.kill('SIGKILL')
  await world?.close()
  for (const producer of Object.values(producers ?? {})) await producer.close()
})

async function startProcess(): Promise<ChildProcess> {
  const urls = kinds.map((kind) => producers[kind].server.url)
  const args = [world.postgresUrl, world.redis.url, world.redis.prefix, ...urls, '4000']
  const child = fork(programFile('test/serving/streaming/pipeline-process'), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  living.add(child)
  child.once('exit', () => living.delete(child))
  await new Promise<void>((resolve, reject) => {
    child.on('message', (message) => {
      if (message === 'ready') resolve()
      else if (typeof message === 'string') logged.push(message)
    })
    child.once('exit', (code, signal) => reject(new Error(`A process ended with ${code ?? signal} before it was ready.`)))
  })
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!living.has(child)) throw new Error(`A process ended too early, with ${child.exitCode ?? child.signalCode}.`)
  const ended = once(child, 'exit')
  child.kill(signal)
  await within(ended, () => `A process has not ended on ${signal}`)
}

/** Fails with what the processes logged last, where the test's own timeout would not say what stands still. */
function within<T>(work: Promise<T>, what: () => string): Promise<T> {
  return withTimeout(work, stepMs, () => new Error(`${what()} after ${stepMs / 1000} s. Logged last:\n${logged.slice(-30).join('')}`))
}

const ids = (written: readonly Written[]): Set<string> => new Set(written.map(({ id }) => id))
const rows = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => landing(`A${from + i}`, from + i + 1))

/** The answers in a sink, once it has those of so many messages. */
function answered(from: Kind, to: Kind, count: number): Promise<Written[]> {
  const seen = new Set<string>()
  let at = 0
  const reading = producers[to].read(`out_${from}_${to}`, (all) => {
    for (; at < all.length; at++) seen.add((all[at] as Written).id)
    return seen.size >= count
  })
  return within(reading, () => `The pipeline from ${from} to ${to} has answered ${seen.size} of ${count} messages`)
}

/** Holds commits of transactions, and cuts off who sent them. */
function cutCommits(): { reached: Promise<void>; letGo: () => void } {
  const [reached, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { transactions } = producers.kafka.server
  transactions.intercept = async (request, when) => {
    if (request !== 'EndTxn' || when !== 'before') return null
    reached.resolve()
    await letGo.promise
    return 'cut'
  }
  return {
    reached: reached.promise,
    letGo() {
      transactions.intercept = null
      letGo.resolve()
    },
  }
}

/** The faults of the servers of streams while a process is down, in turn. */
const strikes: readonly (() => Promise<void>)[] = [
  async () => {
    await producers.nats.server.stop()
    await producers.nats.server.start()
  },
  // slow: what it is sent is read, and answered later
  async () => {
    const redis = new Redis(producers.redis.server.url)
    await redis.client('PAUSE', 2_000)
    redis.disconnect()
  },
  async () => {
    await producers.kafka.server.stop()
    await producers.kafka.server.start()
  },
]

it(
  'answers every message though processes are killed and a server is away, once where that is promised',
  { timeout: 600_000 + messages * 100 },
  async () => {
    const processes = await Promise.all([startProcess(), startProcess()])
    const share = Math.floor(messages / (kills + 1))
    let sent = 0
    const send = async (count: number): Promise<void> => {
      await Promise.all(kinds.map((kind) => producers[kind].send(`in_${kind}`, rows(sent, count))))
      sent += count
    }
    for (let kill = 0; kill < kills; kill++) {
      const before = sent
      await send(share)
      const [from, to] = pairs[Math.floor(random() * pairs.length)] as (typeof pairs)[number]
      await answered(from, to, before + Math.ceil(share * random()))
      await end(processes.shift() as ChildProcess, 'SIGKILL')
      await producers.redis.send('in_redis', [`poison ${kill}`])
      await strikes[kill % strikes.length]?.()
      processes.push(await startProcess())
    }
    // killed after it has written to Kafka, before the transaction is committed
    const committing = cutCommits()
    await send(10)
    await within(committing.reached, () => 'No process has committed a transaction')
    await Promise.all(processes.splice(0).map((each) => end(each, 'SIGKILL')))
    committing.letGo()
    processes.push(await startProcess())
    await send(messages - sent)
    for (const [from, to] of pairs) {
      const written = await answered(from, to, sent)
      expect(ids(written).size, `${from} to ${to}`).toBe(sent)
      // at least once into Kafka without transactions, and once elsewhere
      if (to !== 'kafka' || from === 'kafka') expect(written, `${from} to ${to}`).toHaveLength(sent)
      const airports = written.map(({ value }) => (JSON.parse(value) as { key: { airport: string } }).key.airport)
      expect(new Set(airports).size).toBe(sent)
    }

    // three pipelines have read each
    const letters = await readDeadLetters(world.db, {})
    expect(letters.map(({ source, reason }) => [source, reason])).toEqual(
      Array.from({ length: kills }, () => ['landings_redis', 'not_json']),
    )

    // paused, it leaves what comes; resumed, it goes on
    const config = { streamRedisUrl: producers.redis.server.url, natsUrl: producers.nats.server.url, kafkaUrl: producers.kafka.server.url }
    const catalog = await loadCatalog(world.db)
    expect(await pausePipeline(world.db, 'nats_redis', unknownActor)).toBe(true)
    expect(await pausePipeline(world.db, 'nats_redis', unknownActor)).toBe(false)
    await send(10)
    await answered('nats', 'nats', sent)
    await answered('redis', 'redis', sent)
    expect(await answered('kafka', 'kafka', sent)).toHaveLength(sent)
    // whether it had stopped before or after these came, resumed it has them all
    expect(await resumePipeline(world.db, 'nats_redis', unknownActor)).toBe(true)
    expect(await answered('nats', 'redis', sent)).toHaveLength(sent)

    // replayed from the beginning, it writes each answer again, under the same id
    for (const kind of kinds) {
      const { spec } = catalog.pipeline(`${kind}_redis`)
      const before = await answered(kind, 'redis', sent)
      expect(await replayPipeline(world.db, config, catalog, spec, { atMicros: 0 }, unknownActor)).toBe(1)
      const replayed = producers.redis.read(`out_${kind}_redis`, (all) => all.length >= 2 * sent)
      const after = await within(replayed, () => `The replayed pipeline from ${kind} to redis lacks answers`)
      expect(after, kind).toHaveLength(2 * sent)
      expect(ids(after)).toEqual(ids(before))
      await vi.waitFor(async () => {
        expect(await pipelineLag(world.db, config, catalog, `${kind}_redis`)).toMatchObject({ waiting: 0 })
      }, 60_000)
    }
    await expect(
      replayPipeline(world.db, config, catalog, catalog.pipeline('nats_nats').spec, { position: 'x' }, unknownActor),
    ).rejects.toThrow('"x" is not a position in the JetStream stream "in_nats"')

    const began = performance.now()
    await end(processes.shift() as ChildProcess, 'SIGTERM')
    expect(performance.now() - began).toBeLessThan(60_000)
  },
)
