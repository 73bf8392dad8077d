/**
 * What tracing costs a prediction: two processes of `lockstep serve` over the same 10,000 customers with 50 features,
 * one without tracing and one that samples 1 % of its traces and sends them to a receiver in this process. They take the
 * same load in turn, so that the speed of a shared machine affects both.
 *
 *     cpu_us_off    processor time of the server per request, the median of the rounds; cpu_us_on with tracing
 *     ratio         cpu_us_on over cpu_us_off, the median of the ratios of the rounds; at most 1.03
 *     ratio_least   the same by the least of each
 *     spans         spans that were sent, in so many exports
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- tracing [--seconds 2] [--rounds 15] [--share 0.01] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { median } from './in-process.ts'
import { load, loadTool } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import type { Started } from './serving/server.ts'
import { cpuSeconds, end } from './serving/server.ts'
import { targetsAt } from './serving/targets.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '15' },
    share: { type: 'string', default: '0.01' },
  },
})
const [seconds, rounds] = [Number(args.seconds), Number(args.rounds)]
const customers = 10_000

let exports = 0
const receiver = createServer((request, response) => {
  exports++
  request.resume().on('end', () => response.end())
}).listen(0, '127.0.0.1')
await once(receiver, 'listening')
const port = (receiver.address() as AddressInfo).port

await inServedPlace(customers, [], async ({ served: off, key, folder, startAnother }) => {
  const tool = await loadTool()
  const on = await startAnother({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: args.share,
  })
  const measure = async (server: Started): Promise<number> => {
    const { predict } = targetsAt(server.url, server.url, key, customers)
    const before = await cpuSeconds(server.child)
    const { requests } = await load(tool, predict, { connections: 16, seconds, folder })
    return (((await cpuSeconds(server.child)) - before) / requests) * 1e6
  }
  try {
    const [offUs, onUs]: [number[], number[]] = [[], []]
    for (let round = -2; round < rounds; round++) {
      // each goes first in every second round
      const order = round % 2 === 0 ? ([offUs, onUs] as const) : ([onUs, offUs] as const)
      for (const into of order) {
        const us = await measure(into === offUs ? off : on)
        if (round >= 0) into.push(us)
      }
      if (round >= 0 && !args.json) say(`off ${offUs.at(-1)?.toFixed(1)} us   on ${onUs.at(-1)?.toFixed(1)} us`)
    }
    const spans = await spansOf(on.url)
    const result = {
      cpu_us_off: round3(median(offUs)),
      cpu_us_on: round3(median(onUs)),
      ratio: round3(median(onUs.map((us, i) => us / (offUs[i] ?? Number.NaN)))),
      ratio_least: round3(Math.min(...onUs) / Math.min(...offUs)),
      spans,
      exports,
    }
    if (args.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else for (const [name, value] of Object.entries(result)) say(`${name.padEnd(12)} ${value}`)
  } finally {
    await end(on)
  }
})
receiver.closeAllConnections()
receiver.close()

/** How many spans the server has sent so far. */
async function spansOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/lockstep_trace_spans_total\{outcome="exported"\} (\d+)/.exec(text)?.[1] ?? 0)
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
