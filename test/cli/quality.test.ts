import { sql } from 'kysely'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { logPredictions, payments, report, start } from '../monitoring/outcomes/payments.ts'
import { load } from '../registry/definition-files.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'

let world: World
let url: string
let env: Environment
const asOf = '2026-03-10T00:00:00Z'
/** A window up to now that has all predictions. */
const sinceStart = `${Math.ceil((Date.now() - start / 1000) / 86_400_000) + 1}d`
const query = `outcome=labelled&since=30d&asOf=${asOf}`

beforeAll(async () => {
  world = await createWorld('embedded', await load({ 'features.ts': payments }))
  await world.materialize('spending')
  const cards = Array.from({ length: 40 }, (_, i) => ({ id: `p${i}/0`, card: `c${i}`, atHour: i, probability: (i % 10) / 10 }))
  await logPredictions(world.db, cards)
  for (const { id, card, atHour, probability } of cards)
    if (atHour !== 7) await report(world.db, { card, id, atHour: atHour + 1, isFraud: probability > 0.5 || atHour < 5, loss: atHour })
  const served = await world.serve({ pollMs: 60_000 })
  await served.server.whenReady()
  url = served.url
  env = { LOCKSTEP_POSTGRES_URL: world.postgresUrl }
})
afterAll(() => world?.close())

const words = ['quality', 'fraud', '--outcome', 'labelled', '--since', '30d', '--as-of', asOf]

describe('lockstep quality', () => {
  it('shows figures with intervals, counts, and groups', async () => {
    const { out, code } = await lockstep(env, ...words, '--by', 'role,paid1h')
    expect(code).toBe(0)
    const lines = out.trimEnd().split('\n')
    expect(lines.slice(0, 4)).toEqual([
      'fraud: "probability" against the outcome "labelled", positive from 0.5 on',
      `logged from 2026-02-08T00:00:00Z to ${asOf}: 40 predictions, of which 39 are judged`,
      'the share of predictions that is logged is unknown: servers wrote no statistics of that time',
      'left out: 1 without an outcome',
    ])
    expect(out).toMatch(/^accuracy +0\.769 +0\.\d+ to 0\.\d+ +39$/m)
    expect(out).toMatch(/^AUC +0\.\d+ /m)
    expect(lines.at(-1)).toMatch(/^champion +3 +39 +0 +0\.\d+ \(0\.\d+ to 0\.\d+\)/)
  })

  it('shows figures by declared slices', async () => {
    const { out } = await lockstep(env, ...words, '--by', 'paying,known')
    expect(out).toMatch(/^PAYING +KNOWN +JUDGED/m)
    expect(out).toMatch(/^> 2 +\(other\) +36 /m)
    expect(out).toMatch(/^> 2 +trusted +3 /m)
    expect(await must(env, 'show', 'fraud')).toHaveProperty('model.slices.paying', { column: 'paid1h', at: [2] })
    expect((await lockstep(env, 'show', 'fraud')).out).toMatch(/^slices +paying: paid1h at 2; known: card in trusted$/m)
  })

  it('gives one reason in place of figures that all lack it', async () => {
    const { out } = await lockstep(env, ...words.slice(0, 4), '--since', '1s', '--as-of', asOf)
    expect(out).toContain('No figure can be computed: 0 mature predictions have an outcome, and 30 are needed.')
    expect(out).not.toContain('FIGURE')
  })

  it('answers the same through a server', async () => {
    const here = await must(env, ...words, '--by', 'version')
    expect(await must(env, ...words, '--by', 'version', '--server', url)).toEqual(here)
    const response = await fetch(`${url}/v1/models/fraud/quality?${query}&by=version`)
    const { requestId, ...answer } = (await response.json()) as Record<string, unknown>
    expect([response.status, typeof requestId]).toEqual([200, 'string'])
    expect(answer).toEqual(here)
  })

  it.each([
    ['frauds', query, 404, 'UNKNOWN_DEFINITION'],
    ['fraud', 'outcome=nothing', 404, 'UNKNOWN_DEFINITION'],
    ['fraud', 'since=7d', 400, 'INVALID_REQUEST'],
    ['fraud', 'outcome=labelled&since=999999d', 400, 'INVALID_REQUEST'],
    ['fraud', `${query}&by=cart`, 400, 'INVALID_REQUEST'],
    ['fraud', `${query}&by=paid1h:9%7C1`, 400, 'INVALID_REQUEST'],
    ['fraud', 'outcome=labelled&since=soon', 400, 'INVALID_REQUEST'],
    ['fraud', 'outcome=labelled&asOf=soon', 400, 'INVALID_TIME'],
  ])('is refused for the model %s with %s: %s %s', async (model, asked, status, code) => {
    const response = await fetch(`${url}/v1/models/${model}/quality?${asked}`)
    expect([response.status, await response.json()]).toMatchObject([status, { error: { code } }])
  })

  it('says that a model has no mature predictions', async () => {
    const { out } = await lockstep(
      env,
      'quality',
      'fraud',
      '--outcome',
      'labelled',
      '--as-of',
      new Date(start / 1000 + 86_000_000).toISOString(),
    )
    expect(out).toContain('24 predictions, of which 0 are judged')
    expect(out).toContain('left out: 24 not mature: an outcome may still come within 1 d')
    expect(out).toContain('note: an outcome takes up to 1 d: look further back with --since')
    expect(out).toContain('note: 0 mature predictions have an outcome, and 200 are needed to calibrate scores')
  })
})

describe('lockstep monitor and lockstep predictions', () => {
  it('show monitors through a server as without', async () => {
    const monitors = await must(env, 'monitor', 'list')
    expect(monitors).toMatchObject({
      monitors: expect.arrayContaining([expect.objectContaining({ name: 'model:fraud', isDefault: true, phase: null })]) as unknown,
    })
    for (const words of [['list'], ['show', 'model:fraud']]) {
      const here = await lockstep(env, 'monitor', ...words)
      expect(await lockstep(env, 'monitor', ...words, '--server', url)).toEqual(here)
      expect(await must(env, 'monitor', ...words, '--server', url)).toEqual(await must(env, 'monitor', ...words))
    }
    const wrong = await lockstep(env, 'monitor', 'show', 'model:frau', '--server', url)
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('There is no monitor "model:frau". Did you mean "model:fraud"?')])
    expect(await (await fetch(`${url}/v1/monitors/model:fraud`)).json()).toMatchObject({
      name: 'model:fraud',
      results: [],
      evaluatedAt: null,
    })
    expect((await fetch(`${url}/v1/monitors/other`)).status).toBe(404)
  })

  it('list logged predictions through a server as without', async () => {
    const asked = ['predictions', 'list', '--model', 'fraud', '--since', sinceStart, '--limit', '3']
    const here = await must(env, ...asked)
    expect(here).toMatchObject({ predictions: [{ predictionId: 'p39/0' }, { predictionId: 'p38/0' }, { predictionId: 'p37/0' }] })
    expect(await must(env, ...asked, '--server', url)).toEqual(here)
    const { next } = here as unknown as { readonly next: string }
    const second = await must(env, ...asked, '--cursor', next)
    expect(second).toMatchObject({ predictions: [{ predictionId: 'p36/0' }, { predictionId: 'p35/0' }, { predictionId: 'p34/0' }] })
    expect(await must(env, ...asked, '--cursor', next, '--server', url)).toEqual(second)
    const one = ['predictions', 'list', '--prediction', 'p3/0', '--since', sinceStart]
    expect(await lockstep(env, ...one, '--server', url)).toEqual(await lockstep(env, ...one))
    const wrong = await lockstep(env, 'predictions', 'list', '--model', 'frauds', '--server', url)
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('"frauds"')])
    for (const query of ['limit=0', 'since=soon', 'model=a%00b', 'prediction=a%00b', 'cursor=', 'cursor=none', 'cursor=WzEsMiwzLDRd'])
      expect((await fetch(`${url}/v1/predictions?${query}`)).status, query).toBe(400)
  })
})

describe('a read whose client disconnects', () => {
  it.each(['statistics', 'quality?outcome=labelled', 'report'])('is cancelled in PostgreSQL: %s', async (path) => {
    const waiting = async () => {
      const [row] = await world.db.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%lockstep.%'`,
      )
      return row?.n ?? 0
    }
    await world.db.kysely.transaction().execute(async (transaction) => {
      // each of these reads comes to one of the tables, and waits
      for (const table of ['rollups', 'merged_rollups', 'baselines'])
        await sql`lock table ${sql.table(`lockstep.${table}`)} in access exclusive mode`.execute(transaction)
      const client = new AbortController()
      const request = fetch(`${url}/v1/models/fraud/${path}`, { signal: client.signal }).catch(() => null)
      await expect.poll(waiting, { timeout: 60_000 }).toBe(1)
      client.abort()
      await request
      await expect.poll(waiting, { timeout: 60_000 }).toBe(0)
    })
  })
})

describe('lockstep explain', () => {
  it('explains a logged prediction: its entity, as of its moment', async () => {
    const explained = await must(env, 'explain', 'p3/0')
    expect(explained).toMatchObject({
      prediction: { id: 'p3/0', model: 'fraud', version: 1, outputs: { probability: 0.3 } },
      service: 'fraud_features@1',
      asOf: '2026-03-02T03:00:00Z',
      views: [{ view: 'spending@1', key: { card: 'c3' }, features: [{ feature: 'paid1h', value: 0 }] }],
    })
    expect(await must(env, 'explain', 'p3/0', '--server', url)).toEqual(explained)
    const { out } = await lockstep(env, 'explain', 'p3/0')
    expect(out).toMatch(
      /^prediction p3\/0 of fraud@1, answered at 2026-03-02T03:00:00Z as of .*: \{"probability":0\.3\}\n\nspending@1 of \{"card":"c3"\} as of /,
    )
  })

  it('explains a service or a view through a server as without', async () => {
    const asked = ['--entity', '{"card":"c3"}', '--as-of', asOf]
    for (const name of ['fraud_features', 'spending'])
      expect(await must(env, 'explain', name, ...asked, '--server', url)).toEqual(await must(env, 'explain', name, ...asked))
  })

  it.each([
    [['p99/0'], 1, 'The prediction log has no prediction "p99/0"'],
    [['p3/0', '--as-of', asOf], 2, '"p3/0" is a prediction, which has its own entity and moment'],
    [['spending'], 2, 'The option "--entity" is missing'],
    [['spending', '--entity', 'card=c3'], 2, `Write it as '{"card":"c3"}'.`],
    [['spending', '--entity', 'c3'], 2, `Write it as '{"airport": "ATL"}'.`],
  ])('refuses %j', async (asked, code, message) => {
    for (const server of [[], ['--server', url]]) {
      const refused = await lockstep(env, 'explain', ...asked, ...server)
      expect([refused.code, refused.err]).toEqual([code, expect.stringContaining(message)])
    }
  })

  it('refuses a request that names a prediction and more', async () => {
    const ask = async (body: object) => {
      const response = await fetch(`${url}/v1/explain`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      })
      return [response.status, await response.json()]
    }
    const code = 'INVALID_REQUEST'
    expect(await ask({ prediction: 'p3/0', view: 'spending' })).toMatchObject([
      400,
      { error: { code, message: expect.stringContaining('remove "view"') as string } },
    ])
    expect(await ask({ view: 'spending' })).toMatchObject([
      400,
      { error: { code, message: expect.stringContaining('no "entity"') as string } },
    ])
  })
})

describe('lockstep report', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'report-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('writes a page with what is known, and says what is not', async () => {
    const out = join(folder, 'fraud.html')
    const written = await lockstep(env, 'report', 'fraud', '--since', sinceStart, '--out', out)
    expect([written.code, written.out]).toEqual([0, expect.stringMatching(/^quality {3}labelled: 39 mature predictions judged/m)])
    const html = await readFile(out, 'utf8')
    for (const part of ['39 of 40 logged predictions are judged', 'By paying', 'business figure', 'id="traffic"', 'id="drift"', 'spending'])
      expect(html).toContain(part)
    expect(html).toMatch(/<td>trusted<\/td><td class="number">3<\/td><td class="muted">none: 3 mature [^<]*<\/td><td><\/td>/)
    expect(html).not.toMatch(/NaN|undefined|\[object/)

    const again = await lockstep(env, 'report', 'fraud', '--since', sinceStart, '--out', out)
    expect([again.code, again.err]).toEqual([1, expect.stringContaining(out)])
    expect((await lockstep(env, 'report', 'fraud', '--since', sinceStart, '--out', out, '--overwrite')).code).toBe(0)
  })

  it('prints every figure as JSON, and then writes no file', async () => {
    const figures = await must(env, 'report', 'fraud', '--since', sinceStart)
    expect(figures).toMatchObject({ model: 'fraud', path: null, traffic: { requests: 0 }, alerts: [], freshness: [{ view: 'spending@1' }] })
    expect(figures).toHaveProperty(['quality', 'value', 2, 'byVersion', 'total', 'judged'], 39)
    expect(figures).toHaveProperty(['quality', 'value', 2, 'bySlice', 'known', 'groups', 1, 'judged'], 3)
    expect(figures).toHaveProperty(
      ['quality', 'value', 2, 'byDay', 'total', 'business', 'loss'],
      expect.objectContaining({ n: 39, total: 773 }),
    )
  })

  it('is the same through a server', async () => {
    const here = await must(env, 'report', 'fraud', '--since', sinceStart)
    const there = await must(env, 'report', 'fraud', '--since', sinceStart, '--server', url)
    // the command and the server have stores of their own here
    const withoutMoments = (report: object): unknown =>
      JSON.parse(
        JSON.stringify(report, (key, value: unknown) => (['from', 'to', 'asOf', 'series', 'freshness'].includes(key) ? null : value)),
      )
    expect(withoutMoments(there)).toEqual(withoutMoments(here))
    const out = join(folder, 'remote.html')
    expect((await lockstep(env, 'report', 'fraud', '--since', sinceStart, '--out', out, '--server', url)).code).toBe(0)
    expect(await readFile(out, 'utf8')).toContain('By paying')
    expect((await fetch(`${url}/v1/models/frauds/report`)).status).toBe(404)
  })

  it('has the alerts of the model that fired in its time, and no others', async () => {
    const day = 86_400_000_000
    const now = Date.now() * 1000
    const fire = (monitor: string, started: number, resolved: number | null) =>
      world.db.query(
        `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, about, started_with, result)
          values ($1, 'parity', $2, 'ticket', $3, $4, $5, $6, '{"description": null, "runbook": null, "notify": []}', $7, $7)`,
        [
          monitor,
          `s${started}`,
          resolved === null ? 'firing' : 'resolved',
          started,
          resolved,
          resolved === null ? null : 'cleared',
          JSON.stringify({ state: 'breach', cause: 'A value differs.' }),
        ],
      )
    await fire('model:fraud', now - day, null)
    await fire('model:fraud', now - 9 * day, now - 6 * day)
    await fire('model:fraud', now - 9 * day, now - 8 * day)
    await fire('model:other', now - day, null)
    const { alerts } = (await must(env, 'report', 'fraud', '--since', '7d')) as unknown as { alerts: { monitor: string; state: string }[] }
    expect(alerts).toMatchObject([
      { monitor: 'model:fraud', state: 'firing', cause: 'A value differs.' },
      { monitor: 'model:fraud', state: 'resolved' },
    ])
  })

  it('of an unknown model writes nothing', async () => {
    const { code, err } = await lockstep(env, 'report', 'frauds')
    expect([code, err]).toEqual([1, expect.stringContaining('"frauds"')])
  })
})
