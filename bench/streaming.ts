/**
 * Measures what predicting adds to reading a stream. Reads one Redis Stream twice, each message an event of one of many
 * entities and of three online views: as the stream of a source (append, fold), and by a pipeline (append, fold,
 * predict, write the answer). Then sends messages at half of the pipeline's rate, and measures the time from when Redis
 * got a message until it got the answer.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- streaming [--events 50000] [--entities 5000] [--seconds 10] [--json]
 *
 * It works in its own database and under its own keys, and removes both.
 */
import { Redis } from 'ioredis'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Registry } from 'prom-client'
import { inspectModel } from '../inference/inspect-model.ts'
import { consumeStreams } from '../materializer/streams/consume-streams.ts'
import { createStreamMetrics } from '../materializer/streams/stream-metrics.ts'
import { materializeView } from '../materializer/runs/materialize.ts'
import { migrate } from '../migrations/migrate.ts'
import { openOnlineStore } from '../online/open-store.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { pushModel } from '../registry/models/models.ts'
import { loadConfig } from '../runtime/config.ts'
import { createLogger } from '../runtime/log.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { createServer } from '../serving/server.ts'
import { createPipelineMetrics } from '../serving/streaming/pipeline-metrics.ts'
import { runPipelines } from '../serving/streaming/run-pipelines.ts'
import { onnx } from '../test/serving/fixtures.ts'
import { landing, landingsPipeline, streamingSet } from '../test/serving/streaming/pipeline-world.ts'
import { inOwnPlace } from './in-process.ts'

const { values: args } = parseArgs({
  options: {
    events: { type: 'string', default: '50000' },
    entities: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
})
const [events, entities, seconds] = [args.events, args.entities, args.seconds].map(Number) as [number, number, number]
const { postgresUrl, redisUrl } = loadConfig()
const views = ['airport_delays', 'airport_typed', 'airport_required', 'account_balance']
/** How often messages are sent, milliseconds. */
const tickMs = 10

if (postgresUrl === null || redisUrl === null) {
  process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
  process.exitCode = 2
} else {
  const redis = new Redis(redisUrl)
  try {
    await inOwnPlace(postgresUrl, async ({ env, name }) => {
      const [input, output] = [`${name}:in`, `${name}:out`]
      const config = loadConfig(env)
      const db = openPostgres(config.postgresUrl as string)
      const store = await openOnlineStore(config)
      await migrate(db.kysely)
      const stream = { kind: 'redis', stream: input, field: 'data', group: 'own' } as const
      const sink = { kind: 'redis', stream: output, field: 'data', maxLength: null, windowSeconds: 3_600 } as const
      await applyChanges(db, streamingSet(stream, [landingsPipeline({ sink })]))
      const bytes = await onnx('logistic')
      await pushModel(db, { model: 'delay', bytes, contract: await inspectModel(bytes) })
      const catalog = await loadCatalog(db)
      for (const view of views) await materializeView(db, store, catalog.view(view))
      try {
        const figures = await measure({ redis, input, output, config, db, store })
        const { alone_events_s: alone, streaming_events_s: predicted, ratio_streaming: ratio } = figures
        process.stdout.write(`${alone} events/s read, ${predicted} events/s predicted: ${ratio}\n`)
        process.stdout.write(`at ${figures.half_load_events_s} events/s: p50 ${figures.p50_ms} ms, p99 ${figures.p99_ms} ms\n`)
        process.stdout.write(`lost ${figures.lost}, twice ${figures.twice}\n`)
        if (args.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
      } finally {
        await redis.del(input, output)
        for (const view of views) await store.removeView(catalog.view(view).id)
        await store.close()
        await db.close()
      }
    })
  } finally {
    redis.disconnect()
  }
}

interface Place {
  readonly redis: Redis
  readonly input: string
  readonly output: string
  readonly config: ReturnType<typeof loadConfig>
  readonly db: ReturnType<typeof openPostgres>
  readonly store: Awaited<ReturnType<typeof openOnlineStore>>
}

async function measure({ redis, input, output, config, db, store }: Place) {
  const log = createLogger('error')
  const clock = (): number => Date.now() * 1000
  async function send(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1_000) {
      const pipeline = redis.pipeline()
      for (let i = at; i < Math.min(count, at + 1_000); i++)
        pipeline.xadd(input, '*', 'data', landing(`A${(i * 7919) % entities}`, 1 + (i % 60)))
      await pipeline.exec()
    }
  }
  async function pendingOf(group: string): Promise<number> {
    const groups = (await redis.call('XINFO', 'GROUPS', input).catch(() => [])) as unknown[][]
    const found = groups.map((fields) => Object.fromEntries(pairsOf(fields))).find(({ name }) => name === group)
    return found === undefined ? Number.POSITIVE_INFINITY : Number(found['lag']) + Number(found['pending'])
  }
  /** Events per second until the group has read all. */
  async function rateOf(group: string, count: number): Promise<number> {
    while ((await pendingOf(group)) === Number.POSITIVE_INFINITY) await setTimeout(2)
    const begin = performance.now()
    while ((await pendingOf(group)) > 0) await setTimeout(5)
    return Math.round((count * 1000) / (performance.now() - begin))
  }

  // reading alone
  await send(events)
  const alone = new AbortController()
  const tools = { db, store, catalog: () => loadCatalog(db), config, log, metrics: createStreamMetrics(new Registry()), clock }
  const consuming = consumeStreams(tools, { signal: alone.signal })
  const aloneRate = await rateOf('own', events)
  alone.abort()
  await consuming
  await redis.del(input)

  // by the pipeline: the events are others, as their places are
  const registry = new Registry()
  const open = { database: async () => openPostgres(config.postgresUrl as string), store: () => openOnlineStore(config) }
  const server = createServer({ config, ...open, log, metrics: registry, clock, lead: false })
  server.start()
  await server.whenReady()
  await send(events)
  const stopped = new AbortController()
  const deps = { predicting: server.predicting, config, metrics: createPipelineMetrics(registry), log }
  const running = runPipelines(deps, { signal: stopped.signal })
  const rate = await rateOf('lockstep_pipeline_score', events)
  const first = await redis.xlen(output)

  // at half load
  const perTick = Math.max(1, Math.round((rate / 2) * (tickMs / 1000)))
  const ticks = Math.round((seconds * 1000) / tickMs)
  const begin = performance.now()
  for (let tick = 0; tick < ticks; tick++) {
    await send(perTick)
    const wait = begin + tick * tickMs - performance.now()
    if (wait > 0) await setTimeout(wait)
  }
  const tookS = (performance.now() - begin) / 1000
  const sent = events + ticks * perTick
  while ((await pendingOf('lockstep_pipeline_score')) > 0) await setTimeout(10)
  stopped.abort()
  await running
  await server.close()

  const entries = await redis.xrange(output, '-', '+')
  const ids = entries.map(([, fields]) => fields[fields.indexOf('lockstep-id') + 1] ?? '')
  const times = entries
    .slice(first)
    .map(([id], i) => msOf(id) - msOf((ids[first + i] ?? '').split(':').at(-1) ?? ''))
    .toSorted((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN
  const distinct = new Set(ids).size
  return {
    alone_events_s: aloneRate,
    streaming_events_s: rate,
    ratio_streaming: Number((rate / aloneRate).toFixed(3)),
    half_load_events_s: Math.round((ticks * perTick) / tookS),
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    lost: sent - distinct,
    twice: ids.length - distinct,
  }
}

function pairsOf(fields: readonly unknown[]): [string, unknown][] {
  return fields.flatMap((field, i) => (i % 2 === 0 ? [[String(field), fields[i + 1]] as [string, unknown]] : []))
}

function msOf(entry: string): number {
  return Number(entry.slice(0, entry.indexOf('-')))
}
