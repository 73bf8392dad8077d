/**
 * Measures the cost of open dashboard tabs for predictions, and the speed of pages in Chromium.
 *
 * One server in this process answers 500 predictions a second for 2,000 customers with 50 features, in slices of 15 s
 * with and without five open tabs. It has a day of rollups and a month of hourly figures. Each tab shows another page:
 * Now, a model, a view, a feature and Jobs. A tab reads all that its page reads while it is visible, as often as the
 * browser does (`ui/api/read-every.ts`), and from a moment of its own. It sends the ETags that it has. The server
 * computes an unchanged answer as well, before it answers 304. No two tabs share an answer, as tabs on one page would.
 *
 *     throughput_cost       processor time of the server's thread that the pages add, as a share of a second: what a
 *                           server under full load loses of its throughput; at most 0.02
 *     cost_alone            the same where nothing is predicted, which a busy machine moves less; at most 0.02
 *     noise_cost            the throughput cost of two slices without pages
 *     p99_ratio             p99 of predictions with pages over that without; at most 1.05
 *     floor_p99             the same where the tabs ask as often for an answer that costs nothing (`/livez`)
 *     noise_p99             the same of two slices without pages
 *     answers, unchanged    answers that the tabs got, and how many of them were 304
 *     lcp_ms                largest contentful paint of the first page, without a cache; at most 1000
 *     first_rows_ms         from the link to the first rows of a catalog of 10,000 features; at most 300
 *     slowest_keystroke_ms  from a key in its filter to the painted rows, the slowest of ten; at most 50. 0: within a frame
 *
 * The first six have the median over blocks of slices, and an interval of 95 %.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- dashboard [--blocks 6] [--only cost|pages] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both. Pages need Chromium, at
 * `LOCKSTEP_TEST_CHROMIUM` or `/usr/bin/chromium`.
 */
import { parseArgs } from 'node:util'
import { Registry } from 'prom-client'
import { openOnlineStore } from '../online/open-store.ts'
import { issueCode } from '../registry/keys/dashboard-sessions.ts'
import { loadConfig } from '../runtime/config.ts'
import { createLogger } from '../runtime/log.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { createServer } from '../serving/server.ts'
import { fillHistory } from './dashboard/fill-history.ts'
import { pageTimes } from './dashboard/page-times.ts'
import { answerFor, pagesCost } from './dashboard/pages-cost.ts'
import { forgetKeys } from './forget-keys.ts'
import { inOwnPlace } from './in-process.ts'
import { setUp } from './serving/set-up.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    blocks: { type: 'string', default: '6' },
    only: { type: 'string', multiple: true, default: [] },
  },
})
const parts = ['cost', 'pages']
const unknown = args.only.find((part) => !parts.includes(part))
if (unknown !== undefined) throw new Error(`--only ${unknown}: it is one of ${parts.join(', ')}.`)
const runs = (part: string): boolean => args.only.length === 0 || args.only.includes(part)
const customers = 2_000
const historyMs = 5000

const { postgresUrl, redisUrl } = loadConfig()
if (postgresUrl === null || redisUrl === null) {
  process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
  process.exit(2)
}
await inOwnPlace(postgresUrl, async ({ env }) => {
  const config = loadConfig(env)
  const open = () => openPostgres(config.postgresUrl as string)
  const db = open()
  const key = await setUp(db, config, customers)
  const stores = { database: async () => open(), store: () => openOnlineStore(config) }
  const serve = async (share: number) => {
    const logged = { ...config, logShares: { share, models: new Map() } }
    const clock = () => Date.now() * 1000
    const server = createServer({ config: logged, ...stores, log: createLogger('silent'), metrics: new Registry(), clock })
    const { url } = await server.listen('127.0.0.1', 0)
    await server.whenReady()
    return { server, url }
  }
  await fillHistory(db, async () => {
    const { server, url } = await serve(1)
    await answerFor(historyMs, url, key, customers)
    await server.close()
  })
  const { server, url } = await serve(0.01)
  const cookie = await login(url, await issueCode(db, 'bench'))
  const cost = runs('cost') ? await pagesCost(url, cookie, key, customers, Number(args.blocks)) : {}
  const times = runs('pages') ? await pageTimes(url, cookie) : {}
  await server.close()
  await db.close()
  await forgetKeys(redisUrl, config.redisPrefix)
  const result = { ...cost, ...times }
  if (args.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else for (const [name, value] of Object.entries(result)) process.stdout.write(`${name.padEnd(22)} ${JSON.stringify(value)}\n`)
})

async function login(url: string, code: string): Promise<string> {
  const headers = { 'x-lockstep-ui': '1', origin: url, 'content-type': 'application/json' }
  const answer = await fetch(`${url}/ui/session`, { method: 'POST', headers, body: JSON.stringify({ code }) })
  const [cookie] = (answer.headers.get('set-cookie') ?? '').split(';')
  if (!answer.ok || cookie === undefined) throw new Error(`The log-in was answered with ${answer.status}: ${await answer.text()}`)
  return cookie
}
