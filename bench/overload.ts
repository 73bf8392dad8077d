/**
 * What a server does with three times the load that it can take: how many requests it answers in time, beside its peak, and how long those wait that it lets in.
 *
 *     npm run bench -- overload [--redis redis://127.0.0.1:6379] [--seconds 30] [--entities 20] [--times 3] [--timeout-ms 1000] [--json]
 *
 * The peak is the best of several numbers of connections that each ask again when they are answered. Then the same requests, each with a deadline, are sent at a fixed rate, whatever comes back, and
 * then the peak is sought once more: of a machine that became faster or slower meanwhile, the mean of both says most. The server is a process of its own, with API keys. With --json the last line is one
 * of JSON.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import type { Asked } from './overload/ask-at-rate.ts'
import { askAtRate } from './overload/ask-at-rate.ts'
import { askInTurn } from './overload/ask-in-turn.ts'
import { cpuSeconds } from './serving/server.ts'

const { values: args } = parseArgs({
  options: {
    redis: { type: 'string' },
    seconds: { type: 'string', default: '30' },
    entities: { type: 'string', default: '20' },
    times: { type: 'string', default: '3' },
    'timeout-ms': { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(args.seconds)
const entities = Number(args.entities)
const timeoutMs = Number(args['timeout-ms'])

const { child, port, key } = await start()
try {
  const requests = Array.from({ length: 200 }, (_, i) => request(i))
  const peakMs = Math.min(5000, seconds * 500)
  await askInTurn(port, requests, 64, peakMs / 2)
  const before = await findPeak(requests, peakMs)
  print('peak', before.rate, before)
  const overload = await askAtRate(port, requests, {
    perSecond: before.rate * Number(args.times),
    forMs: seconds * 1000,
    timeoutMs,
    cpuSeconds: () => cpuSeconds(child),
  })
  const goodput = overload.good / overload.seconds
  print(`${args.times} times that`, goodput, overload)
  const after = await findPeak(requests, peakMs)
  print('peak again', after.rate, after)
  const peak = { rate: mean(before.rate, after.rate), cpu: mean(before.cpu, after.cpu), p99: mean(before.p99, after.p99) }
  const { good, late, refused, failed, unsent, health } = overload
  process.stdout.write(
    `answered ${good}, after the deadline ${late}, refused ${refused}, failed ${failed}, not sent for want of a connection ${unsent}; slowest health check ${health.slowestMs.toFixed(1)} ms\n`,
  )
  const perCpu = { peak: peak.rate / peak.cpu, overload: goodput / overload.cpu }
  process.stdout.write(
    `answered in a second of the server's processor: ${perCpu.peak.toFixed(0)} at the peak (it had ${peak.cpu.toFixed(2)} of one), ${perCpu.overload.toFixed(0)} then (${overload.cpu.toFixed(2)})\n`,
  )
  const ratios = { goodput: goodput / peak.rate, perCpu: perCpu.overload / perCpu.peak, p99: overload.p99 / peak.p99 }
  process.stdout.write(
    `ratio to the peak: goodput ${ratios.goodput.toFixed(2)}, by processor time ${ratios.perCpu.toFixed(2)}, p99 ${ratios.p99.toFixed(2)}\n`,
  )
  if (args.json) process.stdout.write(`${JSON.stringify({ entities, peaks: [before, after], overload, goodput, ratios })}\n`)
} finally {
  await end(child)
}

/** With the part of a processor that the server had meanwhile, which says more than the clock where the machine is busy. */
async function measured<T>(run: () => Promise<T>): Promise<T & { readonly cpu: number }> {
  const [before, begin] = [await cpuSeconds(child), performance.now()]
  const result = await run()
  return { ...result, cpu: ((await cpuSeconds(child)) - before) / ((performance.now() - begin) / 1000) }
}

/** Of several numbers of connections that with the most answers. */
async function findPeak(requests: readonly Buffer[], forMs: number) {
  let peak = await measured(() => askInTurn(port, requests, 32, forMs))
  for (const connections of [64, 128]) {
    const asked = await measured(() => askInTurn(port, requests, connections, forMs))
    if (asked.rate > peak.rate) peak = asked
  }
  return peak
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

function print(name: string, rate: number, { p50, p99 }: Pick<Asked, 'p50' | 'p99'>): void {
  process.stdout.write(
    `${name.padEnd(14)} ${rate.toFixed(0).padStart(7)} requests/s   p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms\n`,
  )
}

async function start(): Promise<{ child: ChildProcess; port: number; key: string }> {
  const server = spawn(
    process.execPath,
    [...process.execArgv, `${import.meta.dirname}/overload/server-process.ts`, ...(args.redis === undefined ? [] : [args.redis])],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const [said] = (await Promise.race([
    once(server.stdout, 'data'),
    once(server, 'exit').then(([code]) => Promise.reject(new Error(`the server ended with ${String(code)}`))),
  ])) as [Buffer]
  const [at = '', text = ''] = said.toString().split(' ')
  return { child: server, port: Number(at), key: text }
}

/** Waits until it is gone; one that hangs is killed after 10 s. */
async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  server.kill('SIGTERM')
  const timer = setTimeout(() => server.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}
