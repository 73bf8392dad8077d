import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import autocannon from 'autocannon'

export interface Target {
  readonly url: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Sent in turn. */
  readonly bodies: readonly (string | Buffer)[]
}

export interface Loaded {
  readonly requests: number
  /** Requests a second. */
  readonly rps: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export type Tool = 'wrk' | 'autocannon'

/** Uses wrk where it is installed, because it leaves more of the machine to the server. */
export async function loadTool(): Promise<Tool> {
  return await new Promise((resolve) => {
    const child = spawn('wrk', ['-v'], { stdio: 'ignore' })
    child.on('error', () => resolve('autocannon'))
    child.on('close', () => resolve('wrk'))
  })
}

/**
 * Sends requests over a number of connections, each again as soon as it is answered.
 *
 * @throws Error where an answer is not 200
 */
export async function load(tool: Tool, target: Target, { connections, seconds, folder }: LoadOptions): Promise<Loaded> {
  return tool === 'wrk' ? await withWrk(target, connections, seconds, folder) : await withAutocannon(target, connections, seconds)
}

export interface LoadOptions {
  readonly connections: number
  readonly seconds: number
  /** The folder for scripts. */
  readonly folder: string
}

async function withWrk({ url, path, headers, bodies }: Target, connections: number, seconds: number, folder: string): Promise<Loaded> {
  const script = join(folder, 'requests.lua')
  await writeFile(
    script,
    `local bodies = { ${bodies.map((body) => luaText(body)).join(', ')} }
local headers = { ${Object.entries(headers)
      .map(([name, value]) => `[${luaText(name)}] = ${luaText(value)}`)
      .join(', ')} }
local requests, at = {}, 0
function init()
  for i, body in ipairs(bodies) do requests[i] = wrk.format("POST", ${luaText(path)}, headers, body) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"errors":%d}', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
`,
  )
  const text = await output('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url])
  const { requests, seconds: took, p50Ms, p99Ms, errors } = JSON.parse(text.slice(text.indexOf('{"requests"'))) as Record<string, number>
  if (errors !== 0 || requests === undefined || took === undefined) throw new Error(`Of ${requests} requests to ${path}, ${errors} failed.`)
  return { requests, rps: requests / took, p50Ms: p50Ms ?? Number.NaN, p99Ms: p99Ms ?? Number.NaN }
}

/** Bytes as a Lua literal. */
function luaText(value: string | Buffer): string {
  return `"${[...Buffer.from(value)].map((byte) => (byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`)).join('')}"`
}

async function withAutocannon({ url, path, headers, bodies }: Target, connections: number, seconds: number): Promise<Loaded> {
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    requests: bodies.slice(0, 200).map((body) => ({ method: 'POST', path, headers: { ...headers }, body })),
  })
  const failed = result.non2xx + result.errors + result.timeouts
  if (failed > 0) throw new Error(`Of the requests to ${path}, ${failed} failed.`)
  return { requests: result.requests.total, rps: result.requests.average, p50Ms: result.latency.p50, p99Ms: result.latency.p99 }
}

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}.`))))
  })
}

/**
 * Sends requests at a steady rate, whether answers have come or not, over connections that take turns. Where none is
 * free, the time that a request waits for one counts.
 *
 * @param rate requests a second
 */
export async function pacedLoad(
  target: Target,
  { rate, seconds, connections }: { rate: number; seconds: number; connections: number },
): Promise<Loaded> {
  const { host, hostname, port } = new URL(target.url)
  const head = Object.entries({ host, ...target.headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const requests = target.bodies.map((body) =>
    Buffer.concat([
      Buffer.from(`POST ${target.path} HTTP/1.1\r\n${head.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n`),
      Buffer.from(body),
    ]),
  )
  const times: number[] = []
  const free: ((due: number, request: Buffer) => void)[] = []
  const due: { at: number; request: Buffer }[] = []
  const failures: Error[] = []
  let underWay = 0
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(Number(port), hostname)
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      socket.setNoDelay(true)
      let began = 0
      let got = ''
      const send = (at: number, request: Buffer) => {
        began = at
        underWay++
        socket.write(request)
      }
      socket.on('data', (data) => {
        got += data.toString('latin1')
        const end = got.indexOf('\r\n\r\n')
        if (end < 0) return
        const length = Number(/content-length: (\d+)/i.exec(got)?.[1] ?? Number.NaN)
        if (!got.startsWith('HTTP/1.1 200') || Number.isNaN(length)) failures.push(new Error(got))
        else if (got.length < end + 4 + length) return
        times.push(performance.now() - began)
        got = ''
        underWay--
        const next = due.shift()
        if (next === undefined) free.push(send)
        else send(next.at, next.request)
      })
      free.push(send)
      return socket
    }),
  )
  const start = performance.now()
  const count = rate * seconds
  for (let sent = 0; sent < count && failures.length === 0;) {
    for (; sent < count && start + (sent * 1000) / rate <= performance.now(); sent++) {
      const at = start + (sent * 1000) / rate
      const request = requests[sent % requests.length] as Buffer
      const send = free.shift()
      if (send === undefined) due.push({ at, request })
      else send(performance.now(), request)
    }
    await setTimeout(1)
  }
  while ((underWay > 0 || due.length > 0) && failures.length === 0) await setTimeout(1)
  const took = (performance.now() - start) / 1000
  for (const socket of sockets) socket.destroy()
  for (const failure of failures) throw failure
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN
  return { requests: times.length, rps: times.length / took, p50Ms: at(0.5), p99Ms: at(0.99) }
}
