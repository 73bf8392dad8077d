import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { errorBody, feastErrorBody, oipErrorBody } from '../../serving/protocols/http/response/response-schemas.ts'
import { routes } from '../../serving/protocols/http/routes.ts'
import type { Route } from '../../serving/protocols/http/route.ts'
import { budget } from '../budget.ts'
import type { Schema } from './generated-json.ts'
import { mutationsOf, textsOf, valuesOf } from './generated-json.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  for (const view of ['airport_delays', 'airport_typed', 'airport_required', 'account_balance']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('typed', 'named')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const runs = budget(25)
/** A request that takes longer hangs. */
const hangMs = 60_000

/** Names and values that the server knows. */
const words =
  'flight typed history route noted accounts strict delay landings balances airport id distance champion airport_delays airport_delays@1 airport_delays:lastDelay airport_delays@v1:landed1h flight_context:pressure accounts@1 ATL 2001-07-01T11:00:00Z 5 1 NaN lastDelay probabilities FP32 BYTES true __proto__ constructor'
    .split(' ')
    .concat('')

const entity = fc.record(
  {
    airport: textsOf(words),
    destination: textsOf(words),
    distance: fc.oneof(fc.integer(), fc.double(), fc.constant(null)),
    note: fc.string(),
    id: fc.oneof(fc.integer(), fc.constant('9223372036854775807')),
    at: fc.constantFrom('2001-07-01T11:00:00Z', '9999-12-31T23:59:59Z', 5, null),
    delay: fc.double(),
  },
  { requiredKeys: ['airport'] },
)
const free = fc.oneof(
  entity,
  fc.json({ maxDepth: 3 }).map((text): unknown => JSON.parse(text)),
  textsOf(words),
  fc.integer(),
)

function schemaOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema
}

interface Sent {
  readonly path: string
  readonly query: string
  readonly body: string | Uint8Array<ArrayBuffer> | undefined
  readonly headers: Record<string, string>
}

function requestsOf(route: Route): fc.Arbitrary<Sent> {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name as string)
  const path = fc
    .array(textsOf(words), { minLength: names.length, maxLength: names.length })
    .map((values) =>
      names.reduce((filled, name, i) => filled.replace(`:${name}`, encodeURIComponent(sound(values[i] ?? '') || 'x')), route.path),
    )
  const query =
    // nobody does the backfills of this server, so that none is waited for
    route.path === '/materialize'
      ? fc.constantFrom('?async=true', '?async=true&force=true', '?async=maybe')
      : fc.constantFrom('', '?x=1', '?async=1', '?limit=-1')
  if (route.body === undefined) return fc.record({ path, query, body: fc.constant(undefined), headers: fc.constant({}) })
  const right = valuesOf(schemaOf(route.body), words, free)
  const wrong = right.chain((value) => mutationsOf(value, free))
  const text = fc.oneof({ weight: 2, arbitrary: right }, { weight: 2, arbitrary: wrong }).map((value) => JSON.stringify(value) ?? '')
  const broken = fc.tuple(text, fc.nat(), fc.string({ unit: 'binary', maxLength: 3 })).map(([whole, at, noise]) => {
    const cut = at % (whole.length + 1)
    return whole.slice(0, cut) + noise + whole.slice(cut + noise.length)
  })
  const json = { 'content-type': 'application/json' }
  const body = fc.oneof(
    { weight: 6, arbitrary: text.map((sent) => ({ body: sent as Sent['body'], headers: json as Record<string, string> })) },
    { weight: 2, arbitrary: broken.map((sent) => ({ body: sent, headers: json })) },
    {
      weight: 1,
      arbitrary: text.map((sent) => ({ body: new Uint8Array(gzipSync(sent)), headers: { ...json, 'content-encoding': 'gzip' } })),
    },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 40 })
        .map((sent) => ({ body: new Uint8Array(sent), headers: { ...json, 'content-encoding': 'br' } })),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.uint8Array({ maxLength: 40 }),
          fc.constantFrom('application/octet-stream', 'text/xml', 'multipart/form-data'),
          fc.integer(),
        )
        .map(([sent, type, length]) => ({
          body: new Uint8Array(sent),
          headers: { 'content-type': type, 'inference-header-content-length': String(length) },
        })),
    },
  )
  return fc.record({ path, query, sent: body }).map(({ sent, ...rest }) => ({ ...rest, ...sent }))
}

/** Copies of JSON, each with a zero byte in another text. */
function withZeroBytes(value: unknown): unknown[] {
  if (typeof value === 'string') return [`${value}\0`]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    withZeroBytes(inner).map((changed) => (Array.isArray(value) ? value.with(Number(name), changed) : { ...value, [name]: changed })),
  )
}

/** Half a character cannot stand in a URL. */
function sound(text: string): string {
  return text.toWellFormed()
}

const errorShapes = { lockstep: errorBody, oip: oipErrorBody, feast: feastErrorBody }

async function check(route: Route, { path, query, body, headers }: Sent): Promise<void> {
  const response = await fetch(url + path + query, {
    method: route.method,
    headers,
    signal: AbortSignal.timeout(hangMs),
    ...(body === undefined ? {} : { body }),
  })
  const text = await response.text()
  const told = `${route.method} ${path} ${String(body)} -> ${response.status} ${text}`
  expect(response.status, told).toBeLessThan(500)
  // every failure says what it is
  if (response.status >= 400) expect([response.headers.get('content-type'), text === ''], told).toEqual(['application/json', false])
  if (response.headers.get('content-type') !== 'application/json' || text === '') return
  const json: unknown = JSON.parse(text)
  const good = [route.status ?? 200].flat().includes(response.status)
  const schema = good ? route.answer : errorShapes[route.errors ?? 'lockstep']
  const parsed = schema?.safeParse(json)
  if (parsed?.success === false) expect.fail(`${told}: ${parsed.error.message}`)
}

describe('a server that receives valid and invalid requests,', () => {
  it.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))(
    'by %s answers in its documented shapes, and never fails',
    async (_, route) => {
      const numRuns = route.body === undefined && !route.path.includes(':') ? 3 : runs
      await fc.assert(
        fc.asyncProperty(requestsOf(route), async (sent) => await check(route, sent)),
        { numRuns, endOnFailure: true },
      )
    },
  )

  it.each(
    routes
      .filter(({ path, query, body }) => path.includes(':') || query !== undefined || body !== undefined)
      .map((route) => [`${route.method} ${route.path}`, route] as const),
  )('by %s refuses zero bytes', async (_, route) => {
    const { method, path, query, example } = route
    const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name as string)
    const pathWith = (zero?: string) => names.reduce((filled, name) => filled.replace(`:${name}`, name === zero ? 'a%00' : '1'), path)
    const parameters = Object.keys(query?.shape ?? {})
    const urls = [...names.map(pathWith), ...parameters.map((name) => `${pathWith()}?${name}=a%00`)]
    const requests: (readonly [string, unknown])[] = urls.map((sent) => [sent, example])
    if (!path.startsWith('/materialize')) requests.push(...withZeroBytes(example).map((body) => [pathWith(), body] as const))
    for (const [at, [sent, body]] of requests.entries()) {
      const response = await fetch(url + sent, {
        method,
        headers: { 'content-type': 'application/json' },
        ...(route.body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      const said = `${method} ${sent} ${JSON.stringify(body)} -> ${response.status} ${text}`
      if (at >= urls.length) expect([400, 404, 422], said).toContain(response.status)
      else expect([response.status, text], said).toEqual([400, expect.stringContaining('has a zero byte')])
    }
  })

  it('is ready after all requests, and has logged no failure', async () => {
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    const failures = world.logged.filter((line) => (JSON.parse(line) as { level: string }).level === 'error')
    expect(failures).toEqual([])
  })
})
