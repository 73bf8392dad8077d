/**
 * Measures a server at three times the load that it can take: how many requests it answers in time compared with its
 * peak, and how long the accepted requests wait.
 *
 *     npm run bench -- overload [--redis redis://127.0.0.1:6379] [--seconds 30] [--rounds 3] [--entities 20] [--times 3] [--timeout-ms 1000] [--json]
 *
 * The peak is the best rate over several numbers of connections, each of which sends its next request when it is
 * answered. Then, in rounds, the same requests, each with a deadline, are sent at a fixed rate whatever comes back, and
 * the peak is measured again. The speed of a machine varies, so the mean of the peaks before and after and the median
 * of the rounds' own ratios are the most reliable figures. The server is a separate process with API keys. With --json
 * the last line is one JSON document.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import type { Asked } from './overload/ask-at-rate.ts'
import { askAtRate } from './overload/ask-at-rate.ts'
import { askInTurn } from './overload/ask-in-turn.ts'
import { median } from './in-process.ts'
import { cpuSeconds } from './serving/server.ts'

const { values: args } = parseArgs({
  options: {
    redis: { type: 'string' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
    entities: { type: 'string', default: '20' },
    times: { type: 'string', default: '3' },
    'timeout-ms': { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const [seconds, rounds, entities, times, timeoutMs] = [args.seconds, args.rounds, args.entities, args.times, args['timeout-ms']].map(
  Number,
) as [number, number, number, number, number]
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${args.rounds}: how many rounds, 1 or more.`)

const { child, port, key } = await start()
try {
  const requests = Array.from({ length: 200 }, (_, i) => request(i))
  const peakMs = Math.min(5000, seconds * 500)
  await askInTurn(port, requests, 64, peakMs / 2)
  const connections = await findPeak(requests, peakMs)
  say(`The peak is over ${connections} connections.`)
  const peak = () => measured(() => askInTurn(port, requests, connections, peakMs))
  let before = await peak()
  print('peak', before.rate, before)
  const peaks = [before]
  const overloads = []
  const ratios = []
  for (let round = 0; round < rounds; round++) {
    const overload = await askAtRate(port, requests, {
      perSecond: before.rate * times,
      forMs: seconds * 1000,
      timeoutMs,
      cpuSeconds: () => cpuSeconds(child),
    })
    const { good, late, refused, failed, unsent, health } = overload
    const goodput = good / overload.seconds
    print(`${times} times that`, goodput, overload)
    say(
      `  after the deadline ${late}, refused ${refused}, failed ${failed}, not sent for want of a connection ${unsent}; slowest health check ${health.slowestMs.toFixed(1)} ms`,
    )
    await askInTurn(port, requests, connections, peakMs / 5)
    const after = await peak()
    print('peak again', after.rate, after)
    const between = { rate: mean(before.rate, after.rate), cpu: mean(before.cpu, after.cpu), p99: mean(before.p99, after.p99) }
    const ratio = {
      goodput: goodput / between.rate,
      perCpu: goodput / overload.cpu / (between.rate / between.cpu),
      p99: overload.p99 / between.p99,
    }
    sayRatio('  ratio to the peak', ratio)
    peaks.push(after)
    before = after
    overloads.push(overload)
    ratios.push(ratio)
  }
  const middle = {
    goodput: median(ratios.map(({ goodput }) => goodput)),
    perCpu: median(ratios.map(({ perCpu }) => perCpu)),
    p99: median(ratios.map(({ p99 }) => p99)),
  }
  sayRatio(`median of ${rounds}`, middle)
  if (args.json) say(JSON.stringify({ entities, peaks, overloads, ratios, ratio: middle }))
} finally {
  await end(child)
}

/**
 * Includes the share of a processor that the server got, which is more reliable than wall-clock time on a busy machine.
 */
async function measured<T>(run: () => Promise<T>): Promise<T & { readonly cpu: number }> {
  const [before, begin] = [await cpuSeconds(child), performance.now()]
  const result = await run()
  return { ...result, cpu: ((await cpuSeconds(child)) - before) / ((performance.now() - begin) / 1000) }
}

/**
 * @returns the number of connections with the most answers. Each number is tried on the way up and on the way down, so
 * that a change of the machine's speed favours none
 */
async function findPeak(requests: readonly Buffer[], forMs: number): Promise<number> {
  const [few, some, many] = [32, 64, 128]
  const rates = new Map<number, number>()
  for (const connections of [few, some, many, many, some, few]) {
    const { rate } = await askInTurn(port, requests, connections, forMs / 2)
    rates.set(connections, (rates.get(connections) ?? 0) + rate)
  }
  return [...rates].reduce((best, one) => (one[1] > best[1] ? one : best))[0]
}

function mean(a: number, b: number): number {
  return (a + b) / 2
}

function request(i: number): Buffer {
  const body = JSON.stringify({
    model: 'delay',
    entities: Array.from({ length: entities }, (_, e) => ({ airport: `A${(i * entities + e) % 500}`, distance: 100 + i })),
  })
  return Buffer.from(
    `POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-api-key: ${key}\r\nx-request-timeout-ms: ${timeoutMs}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function print(name: string, rate: number, { p50, p99, cpu }: Pick<Asked, 'p50' | 'p99' | 'cpu'>): void {
  say(
    `${name.padEnd(14)} ${rate.toFixed(0).padStart(7)} requests/s   p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms   by ${cpu.toFixed(2)} of a processor`,
  )
}

function sayRatio(name: string, { goodput, perCpu, p99 }: Readonly<Record<'goodput' | 'perCpu' | 'p99', number>>): void {
  say(`${name}: goodput ${goodput.toFixed(2)}, by processor time ${perCpu.toFixed(2)}, p99 ${p99.toFixed(2)}`)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function start(): Promise<{ child: ChildProcess; port: number; key: string }> {
  const server = spawn(
    process.execPath,
    [...process.execArgv, `${import.meta.dirname}/overload/server-process.ts`, ...(args.redis === undefined ? [] : [args.redis])],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const [line] = (await Promise.race([
    once(server.stdout, 'data'),
    once(server, 'exit').then(([code]) => Promise.reject(new Error(`the server ended with ${String(code)}`))),
  ])) as [Buffer]
  const [at = '', text = ''] = line.toString().split(' ')
  return { child: server, port: Number(at), key: text }
}

/** Waits until the process has ended; kills it after 10 s. */
async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  server.kill('SIGTERM')
  const timer = setTimeout(() => server.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}
