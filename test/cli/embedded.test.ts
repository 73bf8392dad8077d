import { existsSync, globSync, statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flightsFile } from '../examples/sample-flights.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { lockstep, must } from './lockstep.ts'
import type { Ended, Environment } from './run-lockstep.ts'
import { killAll, postJson, start, whenReady } from './run-lockstep.ts'

const features = `import { count, entity, featureService, featureView, last, onDemandView, parquetFiles, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const flights = source('flights', {
  key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64, distance: t.int32, destination: t.string },
})
export const delays = featureView('delays', {
  version: 1, entity: airport, source: flights, online: true, features: { departed24h: count('24h'), lastDelay: last('delay') },
})
export const late = onDemandView('late', {
  version: 1, request: { minutes: t.float64 }, features: { isLate: t.bool }, transform: ({ request }) => ({ isLate: request.minutes > 15 }),
})
export const lake = source('lake', {
  key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 }, files: parquetFiles('/lake/rows/'),
})
export const all = featureService('all', { version: 1, features: [delays] })
`

let folder: string
let env: Environment
let before: Ended
let madeBefore: boolean
let migrated: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-embedded-'))
  env = { LOCKSTEP_DIR: join(folder, 'data') }
  before = await lockstep(env, 'status')
  madeBefore = existsSync(join(folder, 'data'))
  migrated = (await lockstep(env, 'migrate')).out
  await must(env, 'apply', join(definitionFiles({ 'features.ts': features }), 'features.ts'))
})

afterAll(async () => {
  killAll()
  await rm(folder, { recursive: true, force: true })
})

describe('with nothing configured', () => {
  it('a command names the database it uses, and only "migrate" creates it', () => {
    expect(before.err).toMatch(/^error MIGRATIONS_PENDING: There is no embedded database in ".*data", .* LOCKSTEP_POSTGRES_URL is not set/)
    expect([before.code, madeBefore]).toEqual([1, false])
    expect(migrated).toMatch(/^The embedded database in ".*data" \(LOCKSTEP_POSTGRES_URL is not set\) was brought up/)
  })

  it('a load that is stopped by Ctrl-C exits with 130 and leaves no rows or files', async () => {
    const running = start(env, 'ingest', 'flights', flightsFile)
    await running.until(/Ingesting flights-3m\.parquet .* rows/)
    running.child.kill('SIGINT')
    const { code, out } = await running.ended
    expect([code, out]).toEqual([130, ''])
    await writeFile(
      join(folder, 'flights.csv'),
      'date,delay,distance,origin,destination\n2001-06-30T10:00:00Z,12.5,700,ATL,ORD\n2001-06-30T12:00:00Z,-3,700,ATL,DFW\n',
    )
    await must(env, 'ingest', 'flights', join(folder, 'flights.csv'))
    // those of this file alone
    expect((await must(env, 'materialize', '--to', '2001-07-01T00:00:00Z')).views).toMatchObject([{ rows: 2, entities: 1 }])
  })

  it('one process serves and builds the dashboard, another learns who owns the folder', async () => {
    const caches = join(folder, 'caches')
    const server = start({ ...env, XDG_CACHE_HOME: caches }, 'serve', '--port', '0', '--as-of', '2001-07-01T00:00:00Z')
    const [, url = ''] = await server.until(/Listening on (http:\S+),/)
    await whenReady(url)
    // before anybody asks for a page
    await expect.poll(() => globSync('lockstep/ui/*/index.html', { cwd: caches }), { timeout: 60_000 }).toHaveLength(1)
    const { body } = await postJson(`${url}/v1/features`, { service: 'all', entities: [{ airport: 'ATL' }, { airport: 'XXX' }] })
    expect(body.results.map((result) => result.features)).toEqual([
      { departed24h: 2, lastDelay: -3 },
      { departed24h: 0, lastDelay: null },
    ])

    // it leaves the views as they are, and does what it is asked for
    const asked = await postJson(`${url}/v1/datasets`, {
      service: 'all',
      spine: { sql: "select 'ATL' as airport, timestamptz '2001-06-30T12:30:00Z' as at" },
    })
    expect(asked, JSON.stringify(asked)).toMatchObject({ status: 202 })
    const { job } = asked.body as unknown as { readonly job: number }
    const stateOfJob = async () => ((await (await fetch(`${url}/v1/jobs/${job}`)).json()) as { readonly state: string }).state
    await expect.poll(stateOfJob, { timeout: 60_000 }).toBe('done')
    expect(statSync(join(folder, 'data/files/datasets')).mode & 0o777).toBe(0o700)

    // That the answer takes less than a second, test/runtime/embedded-owner.test.ts measures, without the start of a
    // process.
    const second = await lockstep(env, 'status')
    expect(second.code).toBe(1)
    expect(second.err).toMatch(new RegExp(`^error EMBEDDED_IN_USE: .*process ${server.child.pid} \\("main.js serve`))

    // it has no terminal, so another process makes the link, without opening the database
    const atPort = { ...env, LOCKSTEP_PORT: new URL(url).port }
    const linked = await lockstep(atPort, 'ui')
    expect(linked.err).toBe('')
    const link = new URL(linked.out.trim())
    expect(link.origin + link.pathname).toBe(`${url}/ui/`)
    const headers = { 'content-type': 'application/json', 'x-lockstep-ui': '1', origin: url }
    const login = { method: 'POST', headers, body: JSON.stringify({ code: link.hash.replace('#code=', '') }) }
    expect((await fetch(`${url}/ui/session`, login)).status).toBe(201)
    expect((await lockstep({ ...atPort, LOCKSTEP_PORT: '1' }, 'ui')).err).toMatch(
      /^error SERVER_UNAVAILABLE: No server answers at "http:\/\/127\.0\.0\.1:1": .* Start "lockstep serve", or set LOCKSTEP_HOST/,
    )

    server.child.kill('SIGINT')
    expect((await server.ended).code).toBe(0)
    const status = (await lockstep(env, 'status')).out
    expect(status).toContain('delays@1')
    expect(status).toContain('Parquet files "/lake/rows/**/*.parquet"')
    expect((await lockstep(env, 'search', 'request.minutes')).out).toMatch(/late +in its transform$/m)
    expect((await lockstep(atPort, 'ui')).err).toMatch(/^error SERVER_UNAVAILABLE: No server has the embedded database in ".*data" open/)
  })

  it('a server keeps the views current, and does backfills', async () => {
    await writeFile(join(folder, 'later.csv'), 'date,delay,distance,origin,destination\n2001-06-30T13:00:00Z,7,700,ATL,LAX\n')
    await must(env, 'ingest', 'flights', join(folder, 'later.csv'))
    const server = start(env, 'serve', '--port', '0')
    const [, url = ''] = await server.until(/Listening on (http:[^\s.]+(?:\.\d+)*:\d+)/)
    await whenReady(url)
    // by these the rules for Prometheus see that there is a server, and that something does the work of a worker
    const metrics = await (await fetch(`${url}/metrics`)).text()
    for (const name of ['lockstep_in_flight_limit', 'lockstep_monitor_evaluations_total'])
      expect(metrics).toMatch(new RegExp(`^${name}\\b`, 'm'))
    const last = async (): Promise<unknown> => {
      const { body } = await postJson(`${url}/v1/features`, { service: 'all', entities: [{ airport: 'ATL' }] })
      return body.results[0]?.features
    }
    await expect.poll(last, { timeout: 60_000 }).toMatchObject({ lastDelay: 7 })
    const { status, body } = await postJson(`${url}/v1/backfills`, { view: 'delays' })
    expect([status, body]).toMatchObject([202, { view: 'delays@1', joined: false }])
    const jobs = async (): Promise<unknown> => await (await fetch(`${url}/v1/jobs?kind=backfill&limit=1`)).json()
    await expect.poll(jobs, { timeout: 60_000 }).toMatchObject({ jobs: [{ state: 'done', totals: { rows: 3, entities: 1 } }] })
    // what it leaves behind keeps nobody out
    server.child.kill('SIGKILL')
    await server.ended
    expect(await must(env, 'backfill', 'delays')).toMatchObject({ state: 'done', rows: 3, entities: 1 })
  })
})
