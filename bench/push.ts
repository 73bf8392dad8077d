/**
 * How long it takes until readers of the online store see a pushed event. Sends single events at a steady rate to
 * `lockstep serve` as a separate process, each of one of many entities and of three online views. The time runs from
 * the request to its answer, which confirms that the events are online. A read verifies one answer in fifty.
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- push [--rate 500] [--seconds 10] [--entities 10000] [--rows 200000] [--json]
 *
 * It works in its own database and under its own key prefix, and removes both.
 */
import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { migrate } from '../migrations/migrate.ts'
import { materializeView } from '../materializer/runs/materialize.ts'
import { openOnlineStore } from '../online/open-store.ts'
import { applyChanges } from '../registry/changes/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { loadConfig } from '../runtime/config.ts'
import { openPostgres } from '../runtime/postgres/open-postgres.ts'
import { servingSet } from '../test/serving/definitions.ts'
import { inOwnPlace } from './in-process.ts'

const { values: args } = parseArgs({
  options: {
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '10' },
    entities: { type: 'string', default: '10000' },
    rows: { type: 'string', default: '200000' },
    json: { type: 'boolean', default: false },
  },
})
const [rate, seconds, entities, rows] = [args.rate, args.seconds, args.entities, args.rows].map(Number) as [number, number, number, number]
const views = ['airport_delays', 'airport_typed', 'airport_required']
const warmUp = 2 * rate
const { postgresUrl, redisUrl } = loadConfig()

if (postgresUrl === null || redisUrl === null) {
  process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
  process.exitCode = 2
} else {
  await inOwnPlace(postgresUrl, async ({ env }) => {
    const config = loadConfig(env)
    const db = openPostgres(config.postgresUrl as string)
    const store = await openOnlineStore(config)
    await migrate(db.kysely)
    await applyChanges(db, servingSet)
    await db.script(`
      insert into lockstep_source.landings (airport, at, delay)
      select 'A' || n % ${entities}, now() - n * interval '1 second', n % 60 from generate_series(1, ${rows}) n;
      analyze lockstep_source.landings`)
    const catalog = await loadCatalog(db)
    for (const view of views) await materializeView(db, store, catalog.view(view))
    await db.close()
    const main = join(import.meta.dirname, '../cli/main.ts')
    const server = spawn(process.execPath, [main, 'serve', '--port', '0', '--json'], {
      env: { ...env, LOCKSTEP_LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const url = await new Promise<string>((resolve, reject) => {
        let output = ''
        server.on('exit', () => reject(new Error('The server ended.')))
        server.stdout.on('data', (chunk: Buffer) => {
          const [, found] = /"url": "(http:[^"]+)"/.exec((output += chunk.toString())) ?? []
          if (found !== undefined) resolve(found)
        })
      })
      while ((await fetch(`${url}/readyz`)).status !== 200) await setTimeout(50)
      const figures = await push(url)
      process.stdout.write(`${figures.push_online} of ${figures.push_events} were online with their answer\n`)
      process.stdout.write(`request to visible: p50 ${figures.push_visible_p50_ms} ms, p99 ${figures.push_visible_p99_ms} ms\n`)
      if (args.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
    } finally {
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGTERM')
      await ended
      for (const view of views) await store.removeView(catalog.view(view).id)
      await store.close()
    }
  })
}

async function push(url: string) {
  // idle connections end here before the server ends them
  const agent = new Agent({ keepAlive: true, maxSockets: 256, timeout: 3000 })
  const send = (path: string, body: unknown): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request(url + path, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          if (response.statusCode === 200) resolve(JSON.parse(text) as Answer)
          else reject(new Error(text))
        })
      })
      sent.on('error', reject)
      sent.end(JSON.stringify(body))
    })
  const times: number[] = []
  let online = 0
  async function one(n: number): Promise<void> {
    const airport = `A${(n * 7919) % entities}`
    const event = { airport, at: new Date().toISOString(), delay: n, amount: 1.5, count: n, city: 'Atlanta', open: true, vec: [1, 2] }
    const start = performance.now()
    const answer = await send('/v1/sources/landings/events', { events: [{ ...event, _event_id: `event-${n}` }] })
    const took = performance.now() - start
    if (n < warmUp) return
    times.push(took)
    if (answer.online) online++
    if (n % 50 !== 0 || !answer.online) return
    const read = await send('/v1/features', { service: 'flight', entities: [{ airport, distance: 1 }] })
    if (read.results[0]?.features.lastDelay !== n)
      throw new Error(`"${airport}" was to have the delay ${n}, and has ${JSON.stringify(read)}.`)
  }
  const begin = performance.now()
  const all: Promise<void>[] = []
  for (let n = 0; n < warmUp + rate * seconds; n++) {
    const wait = begin + (n * 1000) / rate - performance.now()
    if (wait > 0) await setTimeout(wait)
    all.push(one(n))
  }
  await Promise.all(all)
  agent.destroy()
  times.sort((a, b) => a - b)
  const at = (share: number): number => Number((times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(2))
  return {
    push_rate: rate,
    push_events: times.length,
    push_online: online,
    push_visible_p50_ms: at(0.5),
    push_visible_p99_ms: at(0.99),
  }
}

interface Answer {
  readonly online: boolean
  readonly results: readonly { readonly features: { readonly lastDelay: number | null } }[]
}
