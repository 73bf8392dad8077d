/**
 * Bulk answers of features: 50 features of 1, 10, 100 and 1,000 customers in one request, by row, by column, as an
 * Arrow stream, and over Feast's route. The server is that of the serving bench. The floor is a bare node:http server
 * that parses the same body, and turns the prepared answer by column into JSON.
 *
 *     cpu_us                processor time of the server per request, by form and number of rows
 *     ratio_feast_columns   of Feast's route over the form columns at 100 rows, 1.3 at most
 *     ratio_rows_columns    of the form rows over the form columns, at 100 rows
 *     ratio_arrow_columns   of the Arrow stream over the form columns, at 100 rows
 *     ratio_columns_floor   of the form columns over the floor, at 100 rows
 *     bytes                 the length of an answer, by form and number of rows
 *
 *     LOCKSTEP_POSTGRES_URL=… LOCKSTEP_REDIS_URL=… npm run bench -- bulk [--entities 20000] [--rows 1,10,100,1000] [--rounds 3] [--json]
 *
 * Times are the median of alternating rounds, and ratios that of the ratios within a round. It works in its own
 * database and under its own key prefix, and removes both.
 */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { clock, median } from './in-process.ts'
import { someCustomers } from './online/reading.ts'
import type { Target } from './serving/load.ts'
import { inServedPlace } from './serving/served-place.ts'
import { cpuSeconds, end, start } from './serving/server.ts'

const { values: args } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    entities: { type: 'string', default: '20000' },
    rows: { type: 'string', default: '1,10,100,1000' },
    rounds: { type: 'string', default: '3' },
  },
})
const [entities, rounds] = [args.entities, args.rounds].map(Number) as [number, number]
const forms = ['floor', 'rows', 'columns', 'arrow', 'feast'] as const
type Form = (typeof forms)[number]
const sizes = args.rows.split(',').map(Number)
/** How many rows a round sends of each form, in requests of one size. */
const rowsOf = (size: number): number => (size === 1 ? 4000 : 40_000)
/** The number of rows of the ratios. */
const ratioSize = 100
const connections = 4

await inServedPlace(entities, [], async ({ served, key, folder }) => {
  const bytes: Record<string, Record<string, number>> = {}
  const prepared: Record<string, unknown> = {}
  for (const size of sizes) {
    for (const form of forms) {
      if (form === 'floor') continue
      const answer = await answerTo(targetFor(form, size, served.url, key, entities))
      ;(bytes[form] ??= {})[size] = answer.byteLength
      if (form === 'columns') prepared[size] = JSON.parse(answer.toString())
    }
  }
  const answers = join(folder, 'answers.json')
  await writeFile(answers, JSON.stringify(prepared))
  const floor = await start([join(import.meta.dirname, 'bulk/floor-server.ts'), answers], process.env)
  const measured = new Map<string, number[]>()
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const size of sizes) {
        for (const form of forms) {
          const server = form === 'floor' ? floor : served
          const target = targetFor(form, size, server.url, key, entities)
          const before = await cpuSeconds(server.child)
          const requests = Math.ceil(rowsOf(size) / size)
          const rps = await sendAll(target, requests)
          const cpuUs = (((await cpuSeconds(server.child)) - before) / requests) * 1e6
          // the first one warms up
          if (round === 0) continue
          measured.set(`${form} ${size}`, [...(measured.get(`${form} ${size}`) ?? []), cpuUs])
          say(
            `${form.padEnd(8)} ${String(size).padStart(5)} rows   ${rps.toFixed(0).padStart(6)} requests/s   ${cpuUs.toFixed(0).padStart(6)} us CPU`,
          )
        }
      }
    }
  } finally {
    await end(floor)
  }
  const timesOf = (form: Form, size: number): readonly number[] => measured.get(`${form} ${size}`) ?? []
  const ratio = (form: Form, to: Form): number =>
    round2(median(timesOf(form, ratioSize).map((cpuUs, round) => cpuUs / (timesOf(to, ratioSize)[round] ?? Number.NaN))))
  const result = {
    cpu_us: Object.fromEntries(
      forms.map((form) => [form, Object.fromEntries(sizes.map((size) => [size, Math.round(median(timesOf(form, size)))]))]),
    ),
    ratio_feast_columns: ratio('feast', 'columns'),
    ratio_rows_columns: ratio('rows', 'columns'),
    ratio_arrow_columns: ratio('arrow', 'columns'),
    ratio_columns_floor: ratio('columns', 'floor'),
    bytes,
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
})

/** Requests of a number of customers in no particular order. */
function targetFor(form: Form, size: number, url: string, key: string, customers: number): Target {
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${key}`,
    ...(form === 'arrow' ? { accept: 'application/vnd.apache.arrow.stream' } : {}),
  }
  const some = someCustomers(customers, size * 20)
  const bodies = Array.from({ length: 20 }, (_, i) => {
    const own = some.slice(i * size, (i + 1) * size)
    if (form === 'feast') return JSON.stringify({ feature_service: 'whole', entities: { customer: own } })
    const format = form === 'columns' ? { format: 'columns' } : {}
    return JSON.stringify({ service: 'whole', ...format, entities: own.map((customer) => ({ customer })) })
  })
  return { url, path: form === 'feast' ? '/get-online-features' : '/v1/features', headers, bodies }
}

/** Sends requests over a few connections. @returns requests a second */
async function sendAll(target: Target, requests: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  let sent = 0
  const seconds = await clock(() =>
    Promise.all(
      Array.from({ length: connections }, async () => {
        while (sent < requests) await sendOne(target, target.bodies[sent++ % target.bodies.length] as string, agent)
      }),
    ),
  )
  agent.destroy()
  return requests / seconds
}

async function sendOne({ url, path, headers }: Target, body: string, agent: Agent): Promise<void> {
  const sending = request(url + path, { method: 'POST', agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } })
  sending.end(body)
  const [response] = (await once(sending, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`${path} answered ${response.statusCode}.`)
}

/** @throws Error where the answer is not 200 */
async function answerTo({ url, path, headers, bodies: [body] }: Target): Promise<Buffer> {
  const response = await fetch(url + path, { method: 'POST', headers: { ...headers, 'accept-encoding': 'identity' }, body: body as string })
  const answer = Buffer.from(await response.arrayBuffer())
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${answer.toString()}`)
  return answer
}

function say(line: string): void {
  if (!args.json) process.stdout.write(`${line}\n`)
}

function round2(number: number): number {
  return Math.round(number * 100) / 100
}
