import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { readEveryMs } from '../../ui/api/read-every.ts'
import { median } from '../in-process.ts'
import { medianInterval } from '../median-interval.ts'
import { quantile } from '../overload/quantile.ts'
import type { Paced, Slice } from '../rollout/ask-at-pace.ts'
import { targetsAt } from '../serving/targets.ts'
import type { Asked, OpenTabs, Tab } from './open-tabs.ts'

const [connections, perSecond] = [16, 500]
const read = (path: string, everyMs: number = readEveryMs.usual) => ({ path, everyMs })
const view = 'views/spending@1'
/**
 * Five tabs, each on another page, with all that it reads while it is visible. The reads of two tabs seldom coincide,
 * and each half of a minute has the hourly figures of one.
 */
const tabs: readonly Tab[] = [
  { fromMs: 0, reads: [read('now', readEveryMs.now)] },
  {
    fromMs: 6200,
    reads: [read('models/score'), ...['over-time', 'quality', 'calibration'].map((part) => read(`models/score/${part}`, readEveryMs.hour))],
  },
  { fromMs: 12_400, reads: [read(view), read(`${view}/freshness`, readEveryMs.day)] },
  { fromMs: 18_600, reads: [read('jobs', readEveryMs.jobs)] },
  { fromMs: 37_200, reads: [read('features/spending@1.spent24h/stats', readEveryMs.hour)] },
]
/** Two slices with tabs are half a minute of theirs. */
const slice: Slice = { kind: 'score', ms: 15_000, warmMs: 200 }

/** Which tabs are open. */
const kinds = ['none', 'pages', 'floor'] as const
type Kind = (typeof kinds)[number]

interface Measured {
  /** Processor time of the server's thread, as a share of the slice. */
  readonly cpuShare: number
  readonly times: readonly number[]
}

interface Block {
  readonly added: number
  readonly p99: number
  readonly floorP99: number
  readonly noiseAdded: number
  readonly noiseP99: number
}

/**
 * Measures the cost of open tabs for the server of this process, which answers predictions at a fixed rate. A block is
 * six slices (no tabs, pages, floor, and these in reverse), so that changes with time affect all alike. Reports the
 * median over blocks, with an interval of 95 % by order statistics.
 *
 * The processor time that tabs add to each second is the share of its throughput that a server under full load loses.
 * It is measured beside predictions, and alone: a server without predictions has almost no other processor time, so
 * that a busy machine moves the figure little.
 */
export async function pagesCost(url: string, cookie: string, key: string, customers: number, blocks: number) {
  const opened: OpenTabs = { url, cookie, tabs, isFloor: false }
  const predicting = await predictionsAt(url, key, customers)
  const tabsOf = {
    pages: await workerOf('./open-tabs.ts', opened),
    floor: await workerOf('./open-tabs.ts', { ...opened, isFloor: true } satisfies OpenTabs),
  }
  let asked: Asked = { answers: 0, unchanged: 0 }

  async function measure(kind: Kind, predicts: boolean): Promise<Measured> {
    if (kind !== 'none') await told(tabsOf[kind], true)
    const [beganMs, before] = [performance.now(), process.threadCpuUsage()]
    const times = predicts ? ((await told(predicting, slice)) as readonly number[]) : await sleep(slice.ms, [])
    const { user, system } = process.threadCpuUsage(before)
    const cpuShare = (user + system) / 1000 / (performance.now() - beganMs)
    if (kind === 'pages') asked = (await told(tabsOf.pages, false)) as Asked
    if (kind === 'floor') await told(tabsOf.floor, false)
    return { cpuShare, times }
  }

  async function block(isReversed: boolean, predicts = true): Promise<Block> {
    const of: Record<Kind, Measured[]> = { none: [], pages: [], floor: [] }
    const own = predicts ? kinds : kinds.filter((kind) => kind !== 'floor')
    const order = isReversed ? own.toReversed() : own
    for (const kind of [...order, ...order.toReversed()]) of[kind].push(await measure(kind, predicts))
    const share = (all: readonly Measured[]) => all.reduce((sum, { cpuShare }) => sum + cpuShare, 0) / all.length
    const p99 = (all: readonly Measured[]) =>
      quantile(
        all.flatMap(({ times }) => times),
        0.99,
      )
    const [first, second] = of.none.map((each) => [each])
    return {
      added: share(of.pages) - share(of.none),
      p99: p99(of.pages) / p99(of.none),
      floorP99: p99(of.floor) / p99(of.none),
      noiseAdded: share(second ?? []) - share(first ?? []),
      noiseP99: p99(second ?? []) / p99(first ?? []),
    }
  }

  await block(false)
  const measured: Block[] = []
  const alone: Block[] = []
  for (let i = 0; i < blocks; i++) measured.push(await block(i % 2 !== 0))
  // last, as the server closes connections that ask nothing for so long
  for (let i = 0; i < blocks; i++) alone.push(await block(i % 2 !== 0, false))
  await Promise.all([predicting.terminate(), tabsOf.pages.terminate(), tabsOf.floor.terminate()])
  const figure = (of: (each: Block) => number, all: readonly Block[] = measured) => ({
    median: rounded(median(all.map(of))),
    interval: medianInterval(all.map(of)).map(rounded),
  })
  return {
    cost_alone: figure(({ added }) => added, alone),
    throughput_cost: figure(({ added }) => added),
    noise_cost: figure(({ noiseAdded }) => noiseAdded),
    p99_ratio: figure(({ p99 }) => p99),
    floor_p99: figure(({ floorP99 }) => floorP99),
    noise_p99: figure(({ noiseP99 }) => noiseP99),
    ...asked,
  }
}

/** Answers predictions for so long, as much as the slices have. */
export async function answerFor(ms: number, url: string, key: string, customers: number): Promise<void> {
  const predicting = await predictionsAt(url, key, customers)
  await told(predicting, { ...slice, ms })
  await predicting.terminate()
}

async function predictionsAt(url: string, key: string, customers: number): Promise<Worker> {
  const { bodies, path, headers } = targetsAt('', '', key, customers).predict
  const head = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requests = bodies.map(
    (body) => `POST ${path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(String(body))}\r\n\r\n${String(body)}`,
  )
  const paced: Paced = { port: Number(new URL(url).port), connections, requests: { score: requests }, perSecond }
  return await workerOf('../rollout/ask-at-pace.ts', paced)
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
