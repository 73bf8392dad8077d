import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { openOnlineStore } from '../../online/open-store.ts'
import { startShadow, stopShadow } from '../../registry/rollouts/change-shadow.ts'
import type { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { createServer } from '../../serving/server.ts'
import { targetsAt } from '../serving/targets.ts'
import type { Paced } from './ask-at-pace.ts'

const by = { actor: 'bench' }
const [connections, perSecond, seconds] = [16, 500, 2]
/** Rounds that are not measured. */
const warmUp = 2
/** A server has loaded a change by then. */
const settleMs = 300

interface Times {
  readonly p50: number
  readonly p99: number
}

/**
 * The time of answers at a fixed rate, in rounds without and with a shadow of 20 %, in turn. The ratio is the median
 * over pairs of rounds that follow each other.
 */
export async function shadowLatency(config: ReturnType<typeof loadConfig>, key: string, customers: number, pairs: number) {
  const db = openPostgres(config.postgresUrl as string)
  const registry = new Registry()
  const stores = { database: async () => openPostgres(config.postgresUrl as string), store: () => openOnlineStore(config) }
  const clock = () => Date.now() * 1000
  const server = createServer({ config, ...stores, log: createLogger('silent'), metrics: registry, clock, lead: false })
  const { port } = await server.listen('127.0.0.1', 0)
  await server.whenReady()
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requests = bodies.map(
    (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${String(body)}`,
  )
  const workerData: Paced = { port, connections, requests, perSecond }
  const worker = new Worker(new URL('./ask-at-pace.ts', import.meta.url), { workerData })
  await once(worker, 'message')
  const round = async (): Promise<Times> => {
    await sleep(settleMs)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage({ seconds })
    const [times] = (await once(worker, 'message')) as [Times]
    return times
  }
  const shadowed = async (): Promise<Times> => {
    await startShadow(db, 'score', { version: 2, share: 0.2 }, by)
    const times = await round()
    await stopShadow(db, 'score', by)
    return times
  }
  const measured: { readonly off: Times; readonly control: Times; readonly on: Times }[] = []
  for (let pair = -warmUp; pair < pairs; pair++) {
    // in turn, so that what changes with time is on both sides
    const first = await round()
    const on = pair % 2 === 0 ? await shadowed() : null
    const second = await round()
    const last = on ?? (await shadowed())
    if (pair >= 0) measured.push({ off: second, control: first, on: last })
  }
  const rows = await registry.getSingleMetric('lockstep_shadow_rows_total')?.get()
  await worker.terminate()
  await server.close()
  await db.close()
  const median = (of: (each: (typeof measured)[number]) => number) => rounded(middle(measured.map(of)))
  return {
    shadow_p99_ratio: median(({ off, on }) => on.p99 / off.p99),
    noise_p99: median(({ off, control }) => control.p99 / off.p99),
    shadow_p50_ratio: median(({ off, on }) => on.p50 / off.p50),
    p99_ms_off: median(({ off }) => off.p99),
    p99_ms_on: median(({ on }) => on.p99),
    shadow_rows: Object.fromEntries(rows?.values.map(({ labels, value }) => [String(labels['result']), value]) ?? []),
  }
}

function middle(values: readonly number[]): number {
  const ascending = values.toSorted((a, b) => a - b)
  const half = ascending.length / 2
  return ((ascending[Math.floor(half)] ?? Number.NaN) + (ascending[Math.ceil(half) - 1] ?? Number.NaN)) / 2
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
