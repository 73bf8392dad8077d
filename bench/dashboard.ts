/**
 * What open pages of the dashboard cost predictions: one server of 2,000 customers with 50 features under full load,
 * in rounds that take turns: without pages, with five, and without again to show the noise. Each page asks for what
 * goes on now, for the model, its quality and the jobs, twice as often as a browser does.
 *
 *     rps_off, rps_on       predictions a second: the median of the rounds
 *     rps_ratio             the median of rounds with pages over that of the rounds around them; at least 0.98
 *     p99_ratio             the same of the 99th percentile of their times; at most 1.05
 *     noise                 the rps of one round without pages over that of the next one
 *     asked                 answers that the pages got
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- dashboard [--rounds 5] [--seconds 10] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { issueCode } from '../registry/keys/dashboard-sessions.ts'
import { openPostgres } from '../runtime/open-postgres.ts'
import { quantile } from './overload/quantile.ts'
import type { Loaded } from './serving/load.ts'
import { load, loadTool } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import { targetsAt } from './serving/targets.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
  },
})
const customers = 2_000
const pages = 5
const paths = ['now', 'models/score', 'models/score/quality', 'jobs']
const everyMs = 5_000

await inServedPlace(customers, [], async ({ served: { url }, key, config, folder }) => {
  const tool = await loadTool()
  const target = targetsAt(url, '', key, customers).predict
  const db = openPostgres(config.postgresUrl as string)
  const cookie = await login(url, await issueCode(db, 'bench'))
  await db.close()
  let asked = 0

  /** A page that is open until the signal. */
  async function page(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const path of paths) {
        const answer = await fetch(`${url}/ui/api/${path}`, { headers: { ...own(url), cookie } })
        if (!answer.ok) throw new Error(`The dashboard answered ${answer.status}: ${await answer.text()}`)
        await answer.arrayBuffer()
        asked++
      }
      await sleep(everyMs, null, { signal }).catch(() => undefined)
    }
  }

  async function round(open: number): Promise<Loaded> {
    const shut = new AbortController()
    const all = Array.from({ length: open }, () => page(shut.signal))
    try {
      return await load(tool, target, { connections: 64, seconds: Number(args.seconds), folder })
    } finally {
      shut.abort()
      await Promise.all(all)
    }
  }

  await round(0)
  const [rps, p99, noise]: [number[], number[], number[]] = [[], [], []]
  const measured: { off: number[]; on: number[] } = { off: [], on: [] }
  for (let i = 0; i < Number(args.rounds); i++) {
    const [before, on, after] = [await round(0), await round(pages), await round(0)]
    rps.push(on.rps / ((before.rps + after.rps) / 2))
    p99.push(on.p99Ms / ((before.p99Ms + after.p99Ms) / 2))
    noise.push(before.rps / after.rps)
    measured.off.push(before.rps, after.rps)
    measured.on.push(on.rps)
  }
  const middle = (values: readonly number[]) => Math.round(quantile(values, 0.5) * 1000) / 1000
  const result = {
    rps_off: middle(measured.off),
    rps_on: middle(measured.on),
    rps_ratio: middle(rps),
    p99_ratio: middle(p99),
    noise: middle(noise),
    asked,
  }
  if (args.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else for (const [name, value] of Object.entries(result)) process.stdout.write(`${name.padEnd(12)} ${value}\n`)
})

function own(url: string): Record<string, string> {
  return { 'x-lockstep-ui': '1', 'sec-fetch-site': 'same-origin', origin: new URL(url).origin }
}

async function login(url: string, code: string): Promise<string> {
  const headers = { ...own(url), 'content-type': 'application/json' }
  const answer = await fetch(`${url}/ui/session`, { method: 'POST', headers, body: JSON.stringify({ code }) })
  const [cookie] = (answer.headers.get('set-cookie') ?? '').split(';')
  if (!answer.ok || cookie === undefined) throw new Error(`The log-in was answered with ${answer.status}: ${await answer.text()}`)
  return cookie
}
