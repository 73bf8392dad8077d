/**
 * Side by side with Feast's own Python server: 50 features of 1,000 customers in five views, from the same Redis, with
 * the same values, over the same route `POST /get-online-features`. Each server is one process. They are measured one
 * after the other, with the same load from autocannon or wrk. Feast comes from PyPI, in a virtual environment.
 *
 *     feast_rps           requests/s of Feast, by the number of rows in a request
 *     lockstep_rps        the same of Lockstep
 *     lockstep_columns_rps   of Lockstep's own route with the format columns
 *     ratio_feast         lockstep_rps over feast_rps, by the number of rows
 *     p50_ms              by server and the number of rows
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- feast [--seconds 4] [--rounds 2] [--connections 8] [--json]
 *
 * Rates are the best of alternating rounds. It works in its own database and under its own key prefix, and removes
 * both, and the keys of Feast, which end in the name of its project.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { run } from '../test/peers/peer-server.ts'
import { pythonWith } from '../test/python-with.ts'
import { forgetKeys } from './forget-keys.ts'
import { someCustomers } from './online/reading.ts'
import type { Loaded, Target } from './serving/load.ts'
import { load, loadTool } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import { end } from './serving/server.ts'
import { views } from './serving/set-up.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '8' },
  },
})
const [seconds, rounds, connections] = [args.seconds, args.rounds, args.connections].map(Number) as [number, number, number]
const customers = 1000
const sizes = [1, 100]
const servers = ['feast', 'lockstep', 'lockstep_columns'] as const
type Server = (typeof servers)[number]
const project = `lockstep_feast_${process.pid}`

const bin = await pythonWith('feast-redis', ['feast[redis]==0.67.0'])
await inServedPlace(customers, [], async ({ served, key, config, folder }) => {
  const redisUrl = new URL(config.redisUrl ?? '')
  const values = join(folder, 'values.json')
  await writeFile(values, JSON.stringify(await valuesOf(served.url, key)))
  const address = `${redisUrl.hostname}:${redisUrl.port === '' ? '6379' : redisUrl.port},db=${redisUrl.pathname.slice(1) || '0'}`
  try {
    run(join(bin, 'python'), [join(import.meta.dirname, 'feast/prepare.py'), folder, address, values, project])
    const feast = await startFeast(folder)
    try {
      const best = await measure({ feast: feast.url, lockstep: served.url, lockstep_columns: served.url }, key, folder)
      const rps = (server: Server, size: number): number => best.get(`${server} ${size}`)?.rps ?? Number.NaN
      const bySize = (of: (size: number) => number) => Object.fromEntries(sizes.map((size) => [size, of(size)]))
      const result = {
        feast_rps: bySize((size) => round1(rps('feast', size))),
        lockstep_rps: bySize((size) => round1(rps('lockstep', size))),
        lockstep_columns_rps: bySize((size) => round1(rps('lockstep_columns', size))),
        ratio_feast: bySize((size) => round1(rps('lockstep', size) / rps('feast', size))),
        p50_ms: Object.fromEntries(
          servers.map((server) => [server, bySize((size) => round1(best.get(`${server} ${size}`)?.p50Ms ?? Number.NaN))]),
        ),
      }
      process.stdout.write(`${JSON.stringify(result)}\n`)
    } finally {
      await end(feast)
    }
  } finally {
    await forgetKeys(redisUrl.href, `*${project}`)
  }
})

/** The values as Lockstep answers them, by view: Feast gets the same. */
async function valuesOf(url: string, key: string): Promise<object> {
  const ids = Array.from({ length: customers }, (_, i) => i + 1)
  const body = { service: 'whole', format: 'columns', include: ['types'], entities: ids.map((customer) => ({ customer })) }
  const response = await fetch(`${url}/v1/features`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })
  const { features, types } = (await response.json()) as { features: Record<string, unknown[]>; types: Record<string, string> }
  const viewOf = (feature: string): string => views.find((view) => feature.startsWith(`${view}_`)) ?? 'spending'
  const ofView = <Value>(members: Record<string, Value>, view: string) =>
    Object.fromEntries(Object.entries(members).filter(([name]) => viewOf(name) === view))
  return {
    customers: ids,
    views: Object.fromEntries(views.map((view) => [view, { types: ofView(types, view), columns: ofView(features, view) }])),
  }
}

/** Starts Feast's server as one process, and waits until it answers. */
async function startFeast(folder: string) {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  free.close()
  // by default its process ends after 1,000 requests, and requests fail meanwhile
  const words = [
    '-c',
    folder,
    'serve',
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '--workers',
    '1',
    '--no-access-log',
    '--max-requests',
    '1000000',
  ]
  const child = spawn(join(bin, 'feast'), words, { stdio: ['ignore', 'ignore', 'ignore'] })
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries > 1200) throw new Error('The server of Feast did not start.')
    const answer = await fetch(`${url}/health`).catch(() => null)
    if (answer?.ok === true) return { child, url }
    await setTimeout(100)
  }
}

async function measure(urls: Record<Server, string>, key: string, folder: string): Promise<Map<string, Loaded>> {
  const tool = await loadTool()
  const best = new Map<string, Loaded>()
  for (const size of sizes) {
    await requireSameValues(targetFor('feast', urls.feast, key, size), targetFor('lockstep', urls.lockstep, key, size))
    for (let round = 0; round <= rounds; round++) {
      for (const server of servers) {
        const loaded = await load(tool, targetFor(server, urls[server], key, size), {
          connections,
          seconds: round === 0 ? 1 : seconds,
          folder,
        })
        // the first one warms up
        if (round === 0) continue
        say(
          `${server.padEnd(16)} ${String(size).padStart(4)} rows   ${loaded.rps.toFixed(1).padStart(8)} requests/s   p50 ${loaded.p50Ms.toFixed(1)} ms`,
        )
        const id = `${server} ${size}`
        if (loaded.rps > (best.get(id)?.rps ?? 0)) best.set(id, loaded)
      }
    }
  }
  return best
}

function targetFor(server: Server, url: string, key: string, size: number): Target {
  const headers = { 'content-type': 'application/json', ...(server === 'feast' ? {} : { authorization: `Bearer ${key}` }) }
  const some = someCustomers(customers, size * 50)
  const bodies = Array.from({ length: 50 }, (_, i) => {
    const own = some.slice(i * size, (i + 1) * size)
    return JSON.stringify(
      server === 'lockstep_columns'
        ? { service: 'whole', format: 'columns', entities: own.map((customer) => ({ customer })) }
        : { feature_service: 'whole', entities: { customer: own } },
    )
  })
  return { url, path: server === 'lockstep_columns' ? '/v1/features' : '/get-online-features', headers, bodies }
}

/** Both must answer the same, or the rates mean nothing. @throws Error */
async function requireSameValues(one: Target, other: Target): Promise<void> {
  const [a, b] = await Promise.all([featuresOf(one), featuresOf(other)])
  for (const [name, values] of a) {
    const others = b.get(name) ?? []
    if (!values.every((value, i) => value === others[i] || Math.abs(Number(value) - Number(others[i])) <= 1e-6 * Math.abs(Number(value))))
      throw new Error(
        `The servers answer different values of "${name}": ${JSON.stringify(values.slice(0, 3))} and ${JSON.stringify(others.slice(0, 3))}.`,
      )
  }
  if (a.size !== b.size || a.size < 50) throw new Error(`The servers answer ${a.size} and ${b.size} columns.`)
}

async function featuresOf({ url, path, headers, bodies: [body] }: Target): Promise<Map<string, readonly unknown[]>> {
  const response = await fetch(url + path, { method: 'POST', headers, body: body as string })
  const text = await response.text()
  if (!response.ok) throw new Error(`${url}${path} answered ${response.status}: ${text}`)
  const { metadata, results } = JSON.parse(text) as { metadata: { feature_names: string[] }; results: { values: unknown[] }[] }
  return new Map(metadata.feature_names.map((name, i) => [name, results[i]?.values ?? []]))
}

function say(line: string): void {
  if (!args.json) process.stdout.write(`${line}\n`)
}

function round1(number: number): number {
  return Math.round(number * 10) / 10
}
