import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../client/index.ts'
import { controlRollouts } from '../../monitoring/rollouts/controller.ts'
import { replayDecision } from '../../monitoring/rollouts/replay.ts'
import { readCounts } from '../../monitoring/rollouts/rollout-counts.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import type { RolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { endlessModel, failingModel } from '../inference/made-models.ts'
import { until } from './gate.ts'
import { readArrow } from './read-arrow.ts'
import type * as definitions from '../client/definitions.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let urls: readonly string[] = []
const stop = new AbortController()
let working: Promise<void>
const clock = () => Date.now() * 1000

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', now() - interval '1 minute', 0.5)`)
  await world.materialize('airport_delays', clock())
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  await world.push('delay', failingModel())
  await world.push('echo', 'identity')
  // far slower than the champion, whose requests wait for a processor too
  await world.push('echo', endlessModel(50_000))
  await world.push('echo', 'identity', 'again')
  const options = {
    clock,
    predictionLog: { flushMs: 50 },
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() }, logRetentionDays: 30 },
  }
  const servers = [await world.serve(options), await world.serve(options)]
  for (const { server } of servers) await server.whenReady()
  urls = servers.map(({ url }) => url)
  for (const model of ['delay', 'echo']) {
    const { status } = await ask(urls[0] ?? '', `/v1/models/${model}/promote`, { version: 1 })
    if (status !== 200) throw new Error('The first version was not promoted.')
  }
  const kind = controlRollouts({
    db: world.db,
    store: async () => world.store,
    catalog: () => loadCatalog(world.db),
    readSecret: () => 'secret',
    allowPrivate: true,
    clock,
  })
  // two controllers: one at a time acts
  const work = () => workOnJobs(world.db, { kinds: [kind], worker: 'test', signal: stop.signal, idleMs: 200 })
  working = Promise.all([work(), work()]).then(() => undefined)
})
afterEach(async () => {
  for (const model of ['delay', 'echo']) await ask(urls[0] as string, `/v1/models/${model}/rollout/abort`, {})
})
afterAll(async () => {
  stop.abort()
  await working
  await world?.close()
})

const plan = {
  steps: [
    { share: 0.5, atLeast: '1s', samples: 30 },
    { share: 1, atLeast: '1s', samples: 30 },
  ],
  gates: [
    { kind: 'errors', margin: 0.05, samples: 30 },
    { kind: 'latency', factor: 2, atLeast: '2ms', samples: 30, optional: true },
    { kind: 'split', samples: 20, optional: true },
  ],
  every: '300ms',
}

/** Another one each time, so that no cache answers. */
let flights = 0
const anyFlight = () => [{ airport: 'ATL', distance: 100 + flights++ }]

interface Ended {
  readonly history: RolloutHistory
  readonly statuses: ReadonlySet<number>
  readonly bypassed: number
  readonly seconds: number
}

/** Rolls a version out, and asks both servers until the rollout has ended. */
async function rollOut(model: string, version: number, entitiesOf: () => readonly object[], own: object = plan): Promise<Ended> {
  const started = await ask(urls[0] as string, `/v1/models/${model}/rollout`, { version, plan: own, unit: 'request-id' })
  expect([started.status, started.text]).toEqual([200, expect.stringContaining('"step":0') as string])
  const began = performance.now()
  const statuses = new Set<number>()
  let bypassed = 0
  let history: RolloutHistory | null = null
  const load = async (url: string) => {
    while (history === null) {
      const answer = await ask(url, '/v1/predict', { model, entities: entitiesOf() })
      statuses.add(answer.status)
      if (answer.text.includes(`"bypassed":${version}`)) bypassed++
      await setTimeout(10)
    }
  }
  // one at a time for each server: more would wait for each other, and all would seem slow
  const loads = urls.map(load)
  try {
    await until(async () => (await readRolloutHistory(world.db.kysely, model)).rollout?.state !== 'running', 400_000)
  } finally {
    history = await readRolloutHistory(world.db.kysely, model)
  }
  const seconds = (performance.now() - began) / 1000
  await Promise.all(loads)
  return { history, statuses, bypassed, seconds }
}

const controlled = ({ decisions }: RolloutHistory) => decisions.filter(({ by }) => by === 'rollout controller').toReversed()

describe('a rollout with a plan, under load', { timeout: 600_000 }, () => {
  it('is rolled back if the candidate errs, and no request fails', async () => {
    const { history, statuses, bypassed } = await rollOut('delay', 3, () => [{ airport: 'ATL', distance: 1e-9 }])
    expect(history.rollout).toMatchObject({ state: 'rolled back', version: 3, step: 0 })
    expect(statuses).toEqual(new Set([200]))
    expect(bypassed).toBeGreaterThan(0)
    const last = controlled(history).at(-1)
    expect(last).toMatchObject({ action: 'roll back', shareBefore: 0.5, shareAfter: null })
    expect(last?.reasons.join(' ')).toMatch(/requests failed with the candidate|bypass the candidate/)
    const audit = await ask(urls[0] as string, '/v1/audit?what=rollout&limit=1')
    expect(audit.body).toMatchObject({
      records: [{ action: 'rollout.rollback', actor: 'rollout controller', after: { state: 'rolled back' } }],
    })
    const logged = await world.db.query<{ n: number }>(
      `select count(*)::int as n from lockstep.prediction_log where bypassed = 3 and role = 'champion'`,
    )
    expect(logged[0]?.n).toBeGreaterThan(0)
  })

  it('is rolled back if the candidate is slow', async () => {
    // on a slow machine the runs of the candidate time out, and servers bypass it
    const gates = [{ kind: 'latency', quantile: 0.5, factor: 1.2, atLeast: '1ms', samples: 30 }]
    const { history, statuses } = await rollOut('echo', 2, anyFlight, { ...plan, steps: [{ share: 0.5, atLeast: '1h' }], gates })
    expect(history.rollout).toMatchObject({ state: 'rolled back' })
    expect(statuses).toEqual(new Set([200]))
    expect(controlled(history).at(-1)?.reasons.join(' ')).toMatch(/latency: 50 % of the requests took up to|bypass the candidate/)
  })

  it('waits while its model is pinned, and begins its step again once it is unpinned', async () => {
    const [url = ''] = urls
    const own = { ...plan, gates: [{ kind: 'split', samples: 20, alpha: 0.01 }], every: '100ms' }
    await ask(url, '/v1/models/delay/rollout', { version: 2, plan: { ...own, steps: [{ share: 0.5, atLeast: '1h' }] }, unit: 'request-id' })
    const history = () => readRolloutHistory(world.db.kysely, 'delay')
    await until(async () => controlled(await history()).length > 0, 240_000)
    const pin = {
      method: 'PUT',
      body: JSON.stringify({ version: 1, reason: 'an incident' }),
      headers: { 'content-type': 'application/json' },
    }
    expect((await fetch(`${url}/v1/models/delay/pin`, pin)).status).toBe(200)
    const pinned = await history()
    // 60 units of the champion alone, which the gate would take for a wrong split
    for (let i = 0; i < 60; i++) await ask(url, '/v1/predict', { model: 'delay', entities: anyFlight() })
    const logged = async () => await world.db.query(`select from lockstep.prediction_log where at > $1`, [pinned.rollout?.since])
    await until(async () => (await logged()).length >= 60)
    expect((await fetch(`${url}/v1/models/delay/pin?reason=over`, { method: 'DELETE' })).status).toBe(200)
    const [newest] = (await history()).decisions
    expect(newest).toMatchObject({ action: 'resume', by: expect.not.stringContaining('controller'), shareBefore: 0.5, shareAfter: 0.5 })
    expect(newest?.reasons).toEqual(['The model "delay" was unpinned: the step begins again.'])
    await until(async () => controlled(await history()).length > controlled(pinned).length, 240_000)
    const { rollout, decisions } = await history()
    expect(rollout).toMatchObject({ state: 'running', share: 0.5 })
    expect(rollout?.since.getTime()).toBeGreaterThan(pinned.rollout?.since.getTime() ?? Number.NaN)
    expect(decisions.flatMap(({ reasons }) => reasons).join()).not.toContain('no accident')
  })

  it('is promoted step by step if the candidate is fine; each decision can be replayed', async () => {
    const { history, statuses } = await rollOut('delay', 2, anyFlight, { ...plan, gates: plan.gates.slice(0, 1) })
    expect(history.rollout).toMatchObject({ state: 'promoted', version: 2, step: 1 })
    expect(statuses).toEqual(new Set([200]))
    const decisions = controlled(history)
    const acted = decisions.filter(({ action }) => action === 'advance' || action === 'promote')
    expect(acted.map(({ action, shareBefore, shareAfter }) => [action, shareBefore, shareAfter])).toEqual([
      ['advance', 0.5, 1],
      ['promote', 1, null],
    ])
    // the servers are notified when it commits
    for (const url of urls) await until(async () => (await ask(url, '/v1/models/delay')).body.version === 2)
    // times are kept by group of the units, but for requests that were routed before the rollout began
    const [step] = decisions
    const { candidate, champion } = await readCounts(world.db, history.rollout?.id ?? 0, step?.revision ?? 0, 'of')
    for (const { latency } of [candidate, champion]) {
      const groups = latency.byGroup().map(({ count }) => count)
      expect(groups.length).toBeGreaterThan(5)
      expect(groups.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(latency.total().count - urls.length)
    }
    const own = history.rollout?.plan
    if (own === null || own === undefined) throw new Error('The rollout has no plan.')
    for (const decision of decisions) expect(replayDecision(own, decision)).toEqual({ action: decision.action, reasons: decision.reasons })
    const [first] = acted
    if (first === undefined) throw new Error('Nothing was decided.')
    expect(() => replayDecision(own, { ...first, action: 'hold' })).toThrow('the same evidence decides otherwise')
  })

  it('pauses and resumes, and refuses a change of its share until it is paused', async () => {
    const [url = ''] = urls
    const post = async (path: string, body: object = {}) => await ask(url, `/v1/models/delay/rollout${path}`, body)
    const share = async (to: number) =>
      (await fetch(`${url}/v1/models/delay/rollout/share`, { method: 'PUT', body: JSON.stringify({ share: to }) })).status
    const slow = { ...plan, steps: [{ share: 0.1, atLeast: '1h' }] }
    expect((await post('', { version: 1, plan: slow })).status).toBe(200)
    expect((await post('/resume')).status).toBe(400)
    expect(await share(0.2)).toBe(409)
    expect((await post('/pause', { reason: 'weekend' })).body).toMatchObject({ rollout: { paused: true, share: 0.1 } })
    expect(await share(0.2)).toBe(200)
    expect((await post('/resume')).body).toMatchObject({ rollout: { paused: false, share: 0.1, step: 0 } })
    expect((await post('/abort')).status).toBe(200)
    const shown = (await ask(url, '/v1/models/delay/rollout')).body as unknown as { decisions: readonly { action: string; by: string }[] }
    const actions = shown.decisions.filter(({ by }) => by !== 'rollout controller').map(({ action }) => action)
    expect(actions).toEqual(['abort', 'resume', 'share', 'pause', 'start'])
  })

  it('says in every protocol in whose place the champion answers, and at its start what is not materialized', async () => {
    const [url = ''] = urls
    const start = async () => (await ask(url, '/v1/models/delay/rollout', { version: 3, share: 1 })).body as { readonly notes?: unknown }
    expect(await start()).toMatchObject({ notes: [] })
    await world.db.query(`update lockstep.materialization_runs set view = 'hidden' where view = 'airport_delays@1'`)
    expect((await ask(url, '/v1/models/delay/rollout/abort', {})).status).toBe(200)
    const note = expect.stringContaining('The candidate reads "airport_delays@1", which was never materialized') as string
    expect(await start()).toMatchObject({ notes: [note] })
    await world.db.query(`update lockstep.materialization_runs set view = 'airport_delays@1' where view = 'hidden'`)
    const entities = [{ airport: 'ATL', distance: 1e-9 }]
    await until(async () => (await ask(url, '/v1/predict', { model: 'delay', entities })).text.includes('"bypassed":3'))
    const client = createClient<typeof definitions>({ url })
    const { servedBy } = await client.predict('delay', entities)
    expect(servedBy).toMatchObject([{ version: 2, role: 'champion', bypassed: 3 }])
    const headers = { 'content-type': 'application/json', accept: 'application/vnd.apache.arrow.stream' }
    const stream = await fetch(`${url}/v1/predict`, { method: 'POST', headers, body: JSON.stringify({ model: 'delay', entities }) })
    expect(readArrow(new Uint8Array(await stream.arrayBuffer())).about).toMatchObject({ version: 2, bypassed: 3 })
    const tensor = (name: string, datatype: string, data: readonly unknown[]) => ({ name, datatype, shape: [data.length], data })
    const inputs = [tensor('airport', 'BYTES', ['ATL']), tensor('distance', 'FP64', [1e-9])]
    const inferred = await ask(url, '/v2/models/delay/infer', { inputs })
    expect(inferred.body).toMatchObject({ model_version: '2', parameters: { role: 'champion', bypassed: '3' } })
  })

  it('goes on although another rollout cannot be decided about', async () => {
    const [url = ''] = urls
    expect((await ask(url, '/v1/models/delay/rollout', { version: 1, plan })).status).toBe(200)
    // as a later version of Lockstep may write it
    await world.db.query(
      `update lockstep.rollouts set plan = jsonb_set(plan::jsonb, '{gates}', '[{"kind": "later"}]')::json where model = 'delay' and state = 'running'`,
    )
    const steps = [{ share: 1, atLeast: '1s', samples: 1 }]
    const { history } = await rollOut('echo', 3, anyFlight, { ...plan, steps, gates: [{ kind: 'errors', optional: true }] })
    expect(history.rollout).toMatchObject({ state: 'promoted', version: 3 })
  })

  it('begins its step again if the champion changes, which cannot become the candidate', async () => {
    const [url = ''] = urls
    const post = async (path: string, body: object = {}) => await ask(url, `/v1/models/delay/${path}`, body)
    const revision = async () => (await loadCatalog(world.db)).model('delay').rollout?.revision
    for (const version of [1, 2]) await post('promote', { version })
    expect((await post('rollout', { version: 1, plan: { ...plan, steps: [{ share: 0.5, atLeast: '1h' }] } })).status).toBe(200)
    expect(await revision()).toBe(0)
    expect(await post('rollback')).toMatchObject({ status: 409, body: { error: { code: 'IN_USE' } } })
    expect(await revision()).toBe(0)
    expect((await post('promote', { version: 3 })).status).toBe(200)
    expect(await revision()).toBe(1)
    expect((await post('rollback')).status).toBe(200)
    expect(await revision()).toBe(2)
  })

  it('is refused with what to do', async () => {
    const refused = async (own: unknown, status: number, text: string) => {
      const answer = await ask(urls[0] as string, '/v1/models/delay/rollout', { version: 1, plan: own })
      expect([answer.status, answer.body.error.message]).toEqual([status, expect.stringContaining(text) as string])
    }
    const steps = [{ share: 0.1 }]
    await refused({ steps: [{ share: 0.5 }, { share: 0.1 }] }, 400, 'Step 2 of the plan has the share 0.1, which is not above the 0.5')
    await refused({ steps, gates: [{ kind: 'quality' }] }, 400, 'needs an outcome of the model "delay", which has none')
    const hook = { kind: 'webhook', name: 'board', url: 'http://10.1.2.3/gate', secret: { env: 'BOARD_SECRET' } }
    await refused({ steps, gates: [hook] }, 403, 'asks "10.1.2.3", which is a private address')
    await refused({ steps, gates: [{ kind: 'errors' }, { kind: 'errors' }] }, 400, 'has the gate "errors" twice')
    await refused({ steps, gates: [{ kind: 'error' }] }, 400, 'plan')
    await refused('careful', 400, 'plan')
  })
})
