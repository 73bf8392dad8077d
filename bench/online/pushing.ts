import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { readOnline } from '../../online/read.ts'
import type { OnlineStore } from '../../online/store.ts'
import { keyOf, someCustomers } from './reading.ts'

export interface Pushed {
  readonly p50Ms: number
  readonly p99Ms: number
  /** Events a second, as measured. */
  readonly rate: number
}

const eventsPerSecond = 500
const warmUpSeconds = 3
const seconds = 12

/**
 * Pushes events one by one, evenly in time, to a server of its own. Reads each customer's state until it holds the
 * pushed event.
 *
 * @param plan the view of latest values over the source
 */
export async function pushed(
  store: OnlineStore,
  { source, plan, customers }: { source: string; plan: ViewPlan; customers: number },
): Promise<Pushed> {
  const server = spawn(process.execPath, [join(import.meta.dirname, '../../cli/main.ts'), 'serve', '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(server.stdout, 'data')) as [Buffer]
    const { url } = JSON.parse(line.toString()) as { url: string }
    while (!(await fetch(`${url}/readyz`).catch(() => null))?.ok) await setTimeout(50)
    const send = sender(`${url}/v1/sources/${source}/events`)
    const times: number[] = []
    const wanted = someCustomers(customers, eventsPerSecond * (warmUpSeconds + seconds))
    const began = performance.now()
    const under: Promise<unknown>[] = []
    for (const [i, customer] of wanted.entries()) {
      const wait = began + (i * 1000) / eventsPerSecond - performance.now()
      if (wait > 0.5) await setTimeout(wait)
      const one = async () => {
        const start = performance.now()
        await send(eventOf(customer, i))
        while (!(await isVisible(store, plan, customer, i)));
        if (i >= warmUpSeconds * eventsPerSecond) times.push(performance.now() - start)
      }
      under.push(one())
    }
    await Promise.all(under)
    const rate = wanted.length / ((performance.now() - began) / 1000)
    times.sort((a, b) => a - b)
    const at = (share: number) => times[Math.floor(times.length * share)] as number
    return { p50Ms: at(0.5), p99Ms: at(0.99), rate }
  } finally {
    const gone = once(server, 'exit')
    server.kill('SIGTERM')
    await gone
  }
}

function eventOf(customer: number, n: number): Record<string, unknown> {
  const at = new Date().toISOString()
  return { customer, at, a: n, b: 1.5, c: 2.5, d: 3.5, e: 4.5, f: 5, g: 6, h: 7, i: true, j: 'pushed' }
}

/** Whether the state holds the n-th pushed event or a later one. */
async function isVisible(store: OnlineStore, plan: ViewPlan, customer: number, n: number): Promise<boolean> {
  const [answer] = await readOnline(store, [{ plan, key: keyOf(customer) }], (Date.now() + 1000) * 1000)
  return answer?.values?.values[9] === 'pushed' && (answer.values.values[0] as number) >= n
}

function sender(url: string): (event: unknown) => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  return (event) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ events: [event] })
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      const sent = request(url, { method: 'POST', agent, headers }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`The server answered ${text}`))))
      })
      sent.on('error', reject)
      sent.end(body)
    })
}
