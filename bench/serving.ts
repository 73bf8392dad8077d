/**
 * How long `/v1/predict` takes at 32 connections, beside a bare node:http server that parses the same body: in one run, on one machine.
 *
 *     node bench/serving.ts [--redis redis://127.0.0.1:6379] [--seconds 5] [--connections 32] [--model logistic] [--features] [--json]
 *
 * With --json the last line is one of JSON: what was measured, by name, and the ratios. The server is a process of its own; the load comes from this one, over raw sockets that are kept alive.
 */
import { createServerBackfills } from '../cli/server-backfills.ts'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { migrate } from '../migrations/migrate.ts'
import { createEventIntake } from '../materializer/event-intake.ts'
import { materializeView } from '../materializer/materialize.ts'
import { openEmbeddedStore } from '../online/embedded-store.ts'
import { createRedisStore } from '../online/redis-store.ts'
import { applyChanges } from '../registry/apply.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { pushModel } from '../registry/models.ts'
import { createLogger } from '../runtime/log.ts'
import { createMetricsRegistry } from '../runtime/metrics.ts'
import { openPglite } from '../runtime/open-pglite.ts'
import { openRedis } from '../runtime/redis.ts'
import { inspectModel } from '../serving/inference/inspect-model.ts'
import { createServer } from '../serving/server.ts'
import { servingSet } from '../test/serving/definitions.ts'

const { values: args } = parseArgs({
  options: {
    redis: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
    model: { type: 'string', default: 'logistic' },
    features: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    serve: { type: 'string' },
  },
})
const now = Date.UTC(2001, 6, 1, 12) * 1000

if (args.serve === undefined) await measure()
else if (args.serve === 'bare') bare()
else await lockstep()

async function measure(): Promise<void> {
  const bodies = Array.from({ length: 500 }, (_, i) =>
    JSON.stringify({ model: 'delay', entities: [{ airport: `A${i}`, distance: 100 + i }] }),
  )
  const featureBodies = bodies.map((body) => body.replace('"model":"delay"', '"service":"flight"'))
  const bareResult = await run('bare', '/v1/predict', bodies)
  const predict = await run('lockstep', '/v1/predict', bodies)
  print('bare node:http', bareResult)
  print(`/v1/predict (${args.model}, ${args.redis === undefined ? 'LMDB' : 'Redis'})`, predict)
  const features = args.features ? await run('lockstep', '/v1/features', featureBodies) : null
  if (features !== null) print('/v1/features', features)
  const ratios = { rate: predict.rate / bareResult.rate, p99: predict.p99 / bareResult.p99 }
  process.stdout.write(`ratio to bare: requests/s ${ratios.rate.toFixed(2)}, p99 ${ratios.p99.toFixed(2)}\n`)
  if (args.json) process.stdout.write(`${JSON.stringify({ bare: bareResult, predict, features, ratios })}\n`)
}

interface Result {
  readonly rate: number
  /** Processor time of the server per request, microseconds; it says more than the clock where the machine is busy. */
  readonly cpu: number
  readonly p50: number
  readonly p99: number
}

function print(name: string, { rate, cpu, p50, p99 }: Result): void {
  process.stdout.write(
    `${name.padEnd(34)} ${rate.toFixed(0).padStart(7)} requests/s   ${cpu.toFixed(0).padStart(4)} us CPU   p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms\n`,
  )
}

async function run(kind: string, path: string, bodies: readonly string[]): Promise<Result> {
  const { child, port } = await start(kind)
  try {
    await load(port, path, bodies, 1000)
    const before = await cpuSeconds(child)
    const { rate, p50, p99, requests } = await load(port, path, bodies, Number(args.seconds) * 1000)
    return { rate, p50, p99, cpu: (((await cpuSeconds(child)) - before) / requests) * 1e6 }
  } finally {
    await end(child)
  }
}

/** Ends a server and waits until it is gone, so that it takes nothing from what is measured next; one that hangs is killed after 10 s. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}

/** From /proc, in the kernel's hundredths of a second; elsewhere NaN. */
async function cpuSeconds(child: ChildProcess): Promise<number> {
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function start(kind: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, ...process.argv.slice(2), '--serve', kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => resolve({ child, port: Number(data.toString()) }))
    child.on('exit', (code) => reject(new Error(`the ${kind} server ended with ${code}`)))
  })
}

/** Each connection asks, waits for the whole answer, and asks again. */
async function load(port: number, path: string, bodies: readonly string[], forMs: number) {
  const requests = bodies.map((body) =>
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  )
  const times: number[] = []
  const begin = performance.now()
  let next = 0
  const connection = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.setNoDelay(true)
      let sent = 0
      let got = ''
      const send = () => {
        sent = performance.now()
        socket.write(requests[next++ % requests.length] as Buffer)
      }
      socket.on('connect', send)
      socket.on('error', reject)
      socket.on('data', (data) => {
        got += data.toString('latin1')
        const head = got.indexOf('\r\n\r\n')
        if (head < 0) return
        if (!got.startsWith('HTTP/1.1 200')) return reject(new Error(got))
        const length = Number(/content-length: (\d+)/i.exec(got)?.[1] ?? Number.NaN)
        if (Number.isNaN(length)) return reject(new Error(`no content-length: ${got}`))
        if (got.length < head + 4 + length) return
        got = ''
        times.push(performance.now() - sent)
        if (performance.now() - begin < forMs) return send()
        socket.end()
        resolve()
      })
    })
  await Promise.all(Array.from({ length: Number(args.connections) }, connection))
  const seconds = (performance.now() - begin) / 1000
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN
  return { requests: times.length, rate: times.length / seconds, p50: at(0.5), p99: at(0.99) }
}

function bare(): void {
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { entities } = JSON.parse(Buffer.concat(chunks).toString()) as { entities: unknown[] }
      const body = JSON.stringify({
        model: 'delay',
        version: 1,
        asOf: '2001-07-01T12:00:00Z',
        predictions: entities.map(() => ({ probabilities: 0.5 })),
      })
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      response.end(body)
    })
  })
  server.listen(0, '127.0.0.1', () => process.stdout.write(String((server.address() as AddressInfo).port)))
  process.on('SIGTERM', () => process.exit(0))
}

async function lockstep(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-bench-'))
  const db = await openPglite(join(directory, 'postgres'))
  const prefix = `bench-${process.pid}`
  const store =
    args.redis === undefined ? openEmbeddedStore(join(directory, 'online')) : createRedisStore({ redis: openRedis(args.redis), prefix })
  await migrate(db.kysely)
  await applyChanges(db, servingSet)
  await db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 500, timestamptz '2001-07-01 12:00Z' - n * interval '4 seconds', n % 60 from generate_series(1, 20000) n
  `)
  const view = (await loadCatalog(db)).view('airport_delays')
  await materializeView(db, store, view, { moment: now })
  const bytes = await readFile(new URL(`../test/serving/fixtures/${args.model}.onnx`, import.meta.url))
  await pushModel(db, { model: 'delay', bytes, contract: await inspectModel(bytes) })
  const server = createServer({
    config: { bodyLimitBytes: 1 << 20 },
    database: async () => db,
    store: async () => store,
    intake: (deps) => createEventIntake(deps, { futureMicros: 600_000_000 }),
    backfills: (deps) => createServerBackfills(deps, { postgresUrl: null }),
    log: createLogger('info', { write: () => undefined }),
    metrics: createMetricsRegistry(),
    clock: () => now,
  })
  const { port } = await server.listen('127.0.0.1', 0)
  await server.whenReady()
  process.stdout.write(String(port))
  process.on('SIGTERM', () => {
    void (async () => {
      await store.removeView(view.id)
      await server.close()
      if (args.redis !== undefined) await forget(args.redis, `${prefix}:store`)
      await rm(directory, { recursive: true, force: true })
      process.exit(0)
    })()
  })
}

async function forget(url: string, key: string): Promise<void> {
  const redis = openRedis(url)
  await redis.unlink(key)
  redis.disconnect()
}
