import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { openOnlineStore } from '../../online/open-store.ts'
import { startShadow, stopShadow } from '../../registry/rollouts/change-shadow.ts'
import type { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createServer } from '../../serving/server.ts'
import { medianInterval } from '../median-interval.ts'
import { targetsAt } from '../serving/targets.ts'
import type { Paced, Slice } from './ask-at-pace.ts'

const by = { actor: 'bench' }
const [connections, perSecond] = [16, 500]
const [sliceMs, warmMs] = [1200, 200]
/** Blocks that are not measured. */
const warmUp = 2
/** A server has loaded a change by then. */
const settleMs = 500

interface Block {
  /** p99 with the shadow over p99 without. */
  readonly p99: number
  readonly p50: number
  /** p99 of the second slice without the shadow over that of the first. */
  readonly noise: number
  readonly p99Off: number
  readonly p99On: number
}

/**
 * The time of answers at a fixed rate with and without a shadow of 20 %, in slices of a second. The models "score" and
 * "split" are the same, and one of them has the shadow: nothing is started between slices. The other one has it in the
 * second half, so that no difference between them counts. A block is four slices (off, on, on, off, or the reverse),
 * so that what changes with time is on both sides. The ratio is the median over blocks, which a busy machine moves
 * little, with an interval of 95 % by order statistics.
 */
export async function shadowLatency(config: ReturnType<typeof loadConfig>, key: string, customers: number, blocks: number) {
  const db = openPostgres(config.postgresUrl as string)
  const registry = new Registry()
  const stores = { database: async () => openPostgres(config.postgresUrl as string), store: () => openOnlineStore(config) }
  const clock = () => Date.now() * 1000
  const server = createServer({ config, ...stores, log: createLogger('silent'), metrics: registry, clock, lead: false })
  const { port } = await server.listen('127.0.0.1', 0)
  await server.whenReady()
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requestsOf = (model: string) =>
    bodies.map((body) => {
      const text = JSON.stringify({ ...(JSON.parse(String(body)) as object), model })
      return `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${text.length}\r\n\r\n${text}`
    })
  const workerData: Paced = { port, connections, requests: { score: requestsOf('score'), split: requestsOf('split') }, perSecond }
  const worker = new Worker(new URL('./ask-at-pace.ts', import.meta.url), { workerData })
  await once(worker, 'message')
  const timesOf = async (kind: string): Promise<readonly number[]> => {
    const slice: Slice = { kind, ms: sliceMs, warmMs }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(slice)
    const [times] = (await once(worker, 'message')) as [readonly number[]]
    return times
  }
  const block = async (on: string, off: string, isReversed: boolean): Promise<Block> => {
    const times: Record<string, (readonly number[])[]> = { [on]: [], [off]: [] }
    for (const kind of isReversed ? [on, off, off, on] : [off, on, on, off]) times[kind]?.push(await timesOf(kind))
    const [first = [], second = []] = times[off] ?? []
    const [shadowed, plain] = [(times[on] ?? []).flat(), [...first, ...second]]
    return {
      p99: quantile(shadowed, 0.99) / quantile(plain, 0.99),
      p50: quantile(shadowed, 0.5) / quantile(plain, 0.5),
      noise: quantile(second, 0.99) / quantile(first, 0.99),
      p99Off: quantile(plain, 0.99),
      p99On: quantile(shadowed, 0.99),
    }
  }
  const measured: Block[] = []
  for (const [on, off] of [
    ['split', 'score'],
    ['score', 'split'],
  ] as const) {
    await startShadow(db, on, { version: 2, share: 0.2 }, by)
    await sleep(settleMs)
    for (let i = -warmUp; i < Math.ceil(blocks / 2); i++) {
      const one = await block(on, off, i % 2 !== 0)
      if (i >= 0) measured.push(one)
    }
    await stopShadow(db, on, by)
    await sleep(settleMs)
  }
  const rows = await registry.getSingleMetric('lockstep_shadow_rows_total')?.get()
  await worker.terminate()
  await server.close()
  await db.close()
  const median = (of: (each: Block) => number) => rounded(quantile(measured.map(of), 0.5))
  return {
    shadow_p99_ratio: median(({ p99 }) => p99),
    shadow_p99_interval: medianInterval(measured.map(({ p99 }) => p99)).map(rounded),
    noise_p99: median(({ noise }) => noise),
    shadow_p50_ratio: median(({ p50 }) => p50),
    p99_ms_off: median(({ p99Off }) => p99Off),
    p99_ms_on: median(({ p99On }) => p99On),
    shadow_rows: rowsByResult(rows?.values ?? []),
  }
}

function rowsByResult(values: readonly { readonly labels: Partial<Record<string, string | number>>; readonly value: number }[]) {
  const sums: Record<string, number> = {}
  for (const { labels, value } of values) {
    const result = String(labels['result'])
    sums[result] = (sums[result] ?? 0) + value
  }
  return sums
}

function quantile(values: readonly number[], q: number): number {
  const ascending = values.toSorted((a, b) => a - b)
  return ascending[Math.max(0, Math.ceil(q * ascending.length) - 1)] ?? Number.NaN
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
