import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { readRollup } from '../../monitoring/rollups/read-rollups.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createServer } from '../../serving/server.ts'
import { forgetKeys } from '../forget-keys.ts'
import { inOwnPlace } from '../in-process.ts'
import { setUp } from '../serving/set-up.ts'
import { targetsAt } from '../serving/targets.ts'
import type { Asked } from '../tracing/ask-worker.ts'

export interface RecordingCost {
  /** Processor time per request, microseconds: the mean of the faster half of the rounds. */
  readonly us_off: number
  readonly us_control: number
  readonly us_on: number
  /** `us_control` over `us_off`. */
  readonly noise_cpu: number
  /** `us_on` over the mean of the other two. */
  readonly ratio_cpu_on: number
  /** The share of rows whose values were taken. */
  readonly sampled: number
}

const customers = 2_000
const connections = 16
const requestsPerRound = 400
/** Rounds that are not measured. */
const warmUp = 100

/**
 * Measures the cost of rollups for a prediction: servers in one process over the same 2,000 customers with 50 features,
 * two without rollups and one with them. Another thread asks them in turn, a few hundred requests at a time, so that
 * the speed of a shared machine affects all. The processor time is that of the servers' thread.
 */
export async function recordingCost(postgresUrl: string, redisUrl: string, rounds: number): Promise<RecordingCost> {
  let cost: RecordingCost | null = null
  await inOwnPlace(postgresUrl, async ({ env }) => {
    const config = loadConfig(env)
    const { postgresUrl: own } = config
    if (own === null) return
    const db = openPostgres(own)
    const key = await setUp(db, config, customers)
    const serve = async (rollups: typeof config.rollups) => {
      const stores = { database: async () => openPostgres(own), store: () => openOnlineStore(config) }
      const log = createLogger('silent')
      const clock = () => Date.now() * 1000
      const server = createServer({ config: { ...config, rollups }, ...stores, log, metrics: new Registry(), clock, lead: false })
      const { port } = await server.listen('127.0.0.1', 0)
      await server.whenReady()
      return { server, port }
    }
    const servers = [await serve(null), await serve(null), await serve(config.rollups)]
    const { bodies, path, headers } = targetsAt('', '', key, customers).predict
    const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    const asked: Asked = {
      ports: servers.map(({ port }) => port),
      connections,
      requests: bodies.map(
        (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${String(body)}`,
      ),
    }
    const worker = new Worker(new URL('../tracing/ask-worker.ts', import.meta.url), { workerData: asked })
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
    await worker.terminate()
    for (const { server } of servers) await server.close()
    const [off = Number.NaN, control = Number.NaN, on = Number.NaN] = measured.map(fasterHalf)
    cost = {
      us_off: rounded(off),
      us_control: rounded(control),
      us_on: rounded(on),
      noise_cpu: rounded(control / off),
      ratio_cpu_on: rounded(on / ((off + control) / 2)),
      sampled: await sampledShare(own),
    }
    await db.close()
    await forgetKeys(redisUrl, config.redisPrefix)
  })
  if (cost === null) throw new Error('The bench has no database of its own.')
  return cost
}

async function sampledShare(url: string): Promise<number> {
  const db = openPostgres(url)
  const [found] = await db.query<{ model: string }>(`SELECT model FROM lockstep.rollups WHERE model <> '' LIMIT 1`)
  const now = Date.now() * 1000
  const rollup = await readRollup(db, { model: found?.model ?? '', from: now - 3_600_000_000, to: now + 60_000_000 })
  await db.close()
  return rounded(rollup.sampledRows / rollup.rows)
}

function fasterHalf(values: readonly number[]): number {
  const half = values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 2))
  return half.reduce((sum, each) => sum + each, 0) / half.length
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
