import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Registry } from 'prom-client'
import { openOnlineStore } from '../../online/open-store.ts'
import { abortRollout, startRollout } from '../../registry/rollouts/change-rollout.ts'
import type { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createServer } from '../../serving/server.ts'
import { unitPlace } from '../../statistics/assign.ts'
import { median } from '../in-process.ts'
import { targetsAt } from '../serving/targets.ts'
import type { Ask, Asked } from '../tracing/ask-worker.ts'

const by = { actor: 'bench' }
const share = 0.05
const requestsPerRound = 400
/** Cycles that are not measured. */
const warmUp = 20

/**
 * Processor time per request of one server in this process, in cycles of four rounds. The model "split" is the model
 * "score" with a rollout. Nothing changes between rounds, and each ratio is the median over cycles.
 *
 *     off, control   "score": one version for all
 *     on             "split": the rollout gives a share of the customers to version 2
 *     by name        "score": the same customers ask for version 2
 *
 * The last two run the same two versions for the same rows. A second version itself costs time, because its rows have
 * runs of their own. So the router's cost is the difference between these two.
 */
export async function routerCpu(config: ReturnType<typeof loadConfig>, key: string, customers: number, cycles: number) {
  const db = openPostgres(config.postgresUrl as string)
  const { rollout } = await startRollout(db, 'split', { version: 2, share }, by)
  const stores = { database: async () => openPostgres(config.postgresUrl as string), store: () => openOnlineStore(config) }
  const log = createLogger('silent')
  const server = createServer({ config, ...stores, log, metrics: new Registry(), clock: () => Date.now() * 1000, lead: false })
  const { port } = await server.listen('127.0.0.1', 0)
  await server.whenReady()
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requestOf = (body: object): string => {
    const text = JSON.stringify(body)
    return `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${text.length}\r\n\r\n${text}`
  }
  const asked = bodies.map((body) => JSON.parse(String(body)) as { readonly entities: readonly [{ readonly customer: number }] })
  const isRouted = ({ entities: [{ customer }] }: (typeof asked)[number]) => unitPlace(rollout.salt, String(customer)) < share
  const plain = asked.map(requestOf)
  const requests = {
    off: plain,
    on: asked.map((one) => requestOf({ ...one, model: 'split' })),
    byName: asked.map((one) => requestOf(isRouted(one) ? { ...one, version: 2 } : one)),
    control: plain,
  }
  const names = Object.keys(requests) as (keyof typeof requests)[]
  const workerData: Asked = { ports: [port], connections: 16, requests: plain, others: requests }
  const worker = new Worker(new URL('../tracing/ask-worker.ts', import.meta.url), { workerData })
  await once(worker, 'message')
  const measured: Record<keyof typeof requests, number>[] = []
  for (let cycle = -warmUp; cycle < cycles; cycle++) {
    const us = { off: 0, on: 0, byName: 0, control: 0 }
    // each kind is first, second, third and last as often
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + cycle + warmUp) % names.length] as keyof typeof requests
      const before = process.threadCpuUsage()
      const ask: Ask = { server: 0, count: requestsPerRound, others: name }
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(ask)
      await once(worker, 'message')
      const { user, system } = process.threadCpuUsage(before)
      us[name] = (user + system) / requestsPerRound
    }
    if (cycle >= 0) measured.push(us)
  }
  await worker.terminate()
  await server.close()
  await abortRollout(db, 'split', by)
  await db.close()
  const ratio = (of: (us: (typeof measured)[number]) => number) => Math.round(median(measured.map(of)) * 1000) / 1000
  return {
    us_off: ratio(({ off }) => off),
    us_on: ratio(({ on }) => on),
    us_by_name: ratio(({ byName }) => byName),
    noise_cpu: ratio(({ off, control }) => control / off),
    ratio_cpu_split: ratio(({ off, control, byName }) => byName / ((off + control) / 2)),
    ratio_cpu_router: ratio(({ on, byName }) => on / byName),
  }
}
