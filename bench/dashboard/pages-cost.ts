import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { median } from '../in-process.ts'
import { medianInterval } from '../median-interval.ts'
import { quantile } from '../overload/quantile.ts'
import type { Paced, Slice } from '../rollout/ask-at-pace.ts'
import { targetsAt } from '../serving/targets.ts'
import type { OpenPages } from './open-pages.ts'

const [connections, perSecond] = [16, 500]
const pages = 5
/** Twice as often as a browser reads. A slice has each page's reads once. */
const everyMs = 5000
const slice: Slice = { kind: 'score', ms: everyMs, warmMs: 200 }
const paths = ['now', 'models/score', 'models/score/quality', 'jobs']

interface Measured {
  /** Processor time of the server's thread, as a share of the slice. */
  readonly cpuShare: number
  readonly times: readonly number[]
}

interface Block {
  readonly added: number
  readonly p99: number
  readonly noiseAdded: number
  readonly noiseP99: number
}

/**
 * What open pages cost the server of this process, which answers predictions at a fixed rate. A block is four slices
 * (off, on, on, off, or the reverse), so that what changes with time is on both sides. What is reported is the median
 * over blocks, with an interval of 95 % by order statistics.
 *
 * The processor time that pages add to each second is the share of its throughput that a server under full load loses.
 * It is measured beside predictions, and alone: a server without predictions has almost no other processor time, so that
 * a busy machine moves the figure little.
 */
export async function pagesCost(url: string, cookie: string, key: string, customers: number, blocks: number) {
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requests = bodies.map(
    (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(String(body))}\r\n\r\n${String(body)}`,
  )
  const paced: Paced = { port: Number(new URL(url).port), connections, requests: { score: requests }, perSecond }
  const opened: OpenPages = { url, cookie, pages, paths, everyMs }
  const predicting = await workerOf('../rollout/ask-at-pace.ts', paced)
  const browsing = await workerOf('./open-pages.ts', opened)
  let asked = 0

  async function measure(open: boolean, predicts: boolean): Promise<Measured> {
    if (open) await told(browsing, true)
    const [beganMs, before] = [performance.now(), process.threadCpuUsage()]
    const times = predicts ? ((await told(predicting, slice)) as readonly number[]) : await sleep(everyMs, [])
    const { user, system } = process.threadCpuUsage(before)
    const cpuShare = (user + system) / 1000 / (performance.now() - beganMs)
    if (open) asked = (await told(browsing, false)) as number
    return { cpuShare, times }
  }

  async function block(isReversed: boolean, predicts = true): Promise<Block> {
    const of: Record<'on' | 'off', Measured[]> = { on: [], off: [] }
    for (const kind of isReversed ? (['on', 'off', 'off', 'on'] as const) : (['off', 'on', 'on', 'off'] as const))
      of[kind].push(await measure(kind === 'on', predicts))
    const share = (all: readonly Measured[]) => all.reduce((sum, { cpuShare }) => sum + cpuShare, 0) / all.length
    const p99 = (all: readonly Measured[]) =>
      quantile(
        all.flatMap(({ times }) => times),
        0.99,
      )
    const [first, second] = of.off.map((each) => [each])
    return {
      added: share(of.on) - share(of.off),
      p99: p99(of.on) / p99(of.off),
      noiseAdded: share(second ?? []) - share(first ?? []),
      noiseP99: p99(second ?? []) / p99(first ?? []),
    }
  }

  await block(false)
  const measured: Block[] = []
  const alone: Block[] = []
  for (let i = 0; i < blocks; i++) {
    measured.push(await block(i % 2 !== 0))
    alone.push(await block(i % 2 !== 0, false))
  }
  await Promise.all([predicting.terminate(), browsing.terminate()])
  const figure = (of: (each: Block) => number, all: readonly Block[] = measured) => ({
    median: rounded(median(all.map(of))),
    interval: medianInterval(all.map(of)).map(rounded),
  })
  return {
    cost_alone: figure(({ added }) => added, alone),
    throughput_cost: figure(({ added }) => added),
    noise_cost: figure(({ noiseAdded }) => noiseAdded),
    p99_ratio: figure(({ p99 }) => p99),
    noise_p99: figure(({ noiseP99 }) => noiseP99),
    asked,
  }
}

async function workerOf(file: string, workerData: unknown): Promise<Worker> {
  const worker = new Worker(new URL(file, import.meta.url), { workerData })
  await once(worker, 'message')
  return worker
}

async function told(worker: Worker, message: unknown): Promise<unknown> {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  worker.postMessage(message)
  const [answer] = (await once(worker, 'message')) as [unknown]
  return answer
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
