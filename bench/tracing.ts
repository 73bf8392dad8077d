/**
 * Measures the cost of tracing for a prediction: servers in one process over the same 2,000 customers with 50 features,
 * one without tracing, a second such one to show the noise, and one that samples 1 % of its traces and sends them to a
 * receiver. Other threads receive the spans, and ask the servers in turn, a few hundred requests at a time, so that the
 * speed of a shared machine affects all. The processor time is that of the servers' thread.
 *
 *     us_off, us_control, us_on   processor time per request, microseconds: the mean of the faster half of the rounds
 *     noise                       us_control over us_off
 *     ratio                       us_on over the mean of the other two; at most 1.03
 *     spans                       spans that were sent
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- tracing [--rounds 400] [--share 0.01] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both.
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { openOnlineStore } from '../online/open-store.ts'
import { loadConfig } from '../runtime/config.ts'
import { createLogger } from '../runtime/log.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { createOtlpTracing } from '../runtime/tracing/otlp-tracing.ts'
import type { Tracing } from '../runtime/tracing/span.ts'
import { readTraceSettings } from '../runtime/tracing/trace-settings.ts'
import { createServer } from '../serving/server.ts'
import { forgetKeys } from './forget-keys.ts'
import { inOwnPlace } from './in-process.ts'
import { setUp } from './serving/set-up.ts'
import { targetsAt } from './serving/targets.ts'
import type { Asked } from './tracing/ask-worker.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '400' },
    share: { type: 'string', default: '0.01' },
  },
})
const customers = 2_000
const connections = 16
const requestsPerRound = 400
/** Rounds that are not measured: the parts of a trace run so rarely that they are compiled late. */
const warmUp = 100
const rounds = Number(args.rounds)

const { postgresUrl, redisUrl } = loadConfig()
if (postgresUrl === null || redisUrl === null) {
  process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
  process.exit(2)
}
const receiver = new Worker(new URL('./tracing/receive-worker.ts', import.meta.url))
const [receiverPort]: unknown[] = await once(receiver, 'message')

await inOwnPlace(postgresUrl, async ({ env }) => {
  const config = loadConfig({ ...env, LOCKSTEP_LOG_PREDICTIONS: '0.01' })
  const { postgresUrl: own } = config
  if (own === null) return
  const db = openPostgres(own)
  const key = await setUp(db, config, customers)
  const log = createLogger('silent')
  const registry = new Registry()
  const settings = readTraceSettings(
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${String(receiverPort)}`,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: args.share,
    },
    [],
  )
  const tracing = settings === null ? null : createOtlpTracing(settings, { log, registry })

  async function serve(by: Tracing | null) {
    const stores = { database: async () => openPostgres(own ?? ''), store: () => openOnlineStore(config) }
    const clock = () => Date.now() * 1000
    const server = createServer({ config, ...stores, log, metrics: new Registry(), tracing: by, clock, lead: false })
    const { port } = await server.listen('127.0.0.1', 0)
    await server.whenReady()
    return { server, port }
  }

  const servers = [await serve(null), await serve(null), await serve(tracing)]
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const asked: Asked = {
    ports: servers.map(({ port }) => port),
    connections,
    requests: bodies.map(
      (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${String(body)}`,
    ),
  }
  const worker = new Worker(new URL('./tracing/ask-worker.ts', import.meta.url), { workerData: asked })
  await once(worker, 'message')

  const measured: readonly number[][] = [[], [], []]
  for (let round = -warmUp; round < rounds; round++) {
    for (let i = 0; i < servers.length; i++) {
      // each begins in every third round
      const server = (i + round + warmUp) % servers.length
      const before = process.threadCpuUsage()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ server, count: requestsPerRound })
      await once(worker, 'message')
      const { user, system } = process.threadCpuUsage(before)
      if (round >= 0) measured[server]?.push((user + system) / requestsPerRound)
    }
  }
  const [off = Number.NaN, control = Number.NaN, on = Number.NaN] = measured.map(fasterHalf)
  const text = await registry.metrics()
  const result = {
    us_off: rounded(off),
    us_control: rounded(control),
    us_on: rounded(on),
    noise: rounded(control / off),
    ratio: rounded(on / ((off + control) / 2)),
    spans: Number(/outcome="exported"\} (\d+)/.exec(text)?.[1] ?? 0),
  }
  if (args.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else for (const [name, value] of Object.entries(result)) process.stdout.write(`${name.padEnd(12)} ${value}\n`)
  await worker.terminate()
  for (const { server } of servers) await server.close()
  await tracing?.close()
  await db.close()
  await forgetKeys(redisUrl, config.redisPrefix)
})
await receiver.terminate()

/** The mean of the faster half. */
function fasterHalf(values: readonly number[]): number {
  const half = values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 2))
  return half.reduce((sum, each) => sum + each, 0) / half.length
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
