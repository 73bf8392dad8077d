import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { promoteModel } from '../../../registry/models/promote.ts'
import { startRollout } from '../../../registry/rollouts/change-rollout.ts'
import type { JobsData } from '../../../serving/dashboard/contract/jobs.ts'
import type { ModelData } from '../../../serving/dashboard/contract/model.ts'
import { beginRun, day, endRun, made, trainingSet } from '../training-runs.ts'
import type { World } from '../world.ts'
import { ask, createWorld, noon } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

let world: World
let url: string
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded', trainingSet)
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

describe('trainings in the dashboard', () => {
  const list = async (query = '') => ((await ann.ask(`/ui/api/trainings${query}`)).body.data as { trainings: object[] }).trainings
  const shown = async (name: string, query = '') => (await ann.ask(`/ui/api/trainings/${name}${query}`)).body.data as { runs: object[] }

  it('are listed with their last run, and shown with all of them', async () => {
    expect(await list()).toMatchObject([
      { name: 'asked', schedule: null, next: null, last: null },
      { name: 'weekly', model: 'delay', trainer: 'train_delay.py', next: '2001-07-02T04:00:00Z', last: null },
    ])
    await endRun(world.db, await beginRun(world.db, noon - 14 * day), noon - 13 * day, { result: made('refused', 0.7) })
    const registered = await beginRun(world.db, noon - 7 * day)
    await endRun(world.db, registered, noon - 6 * day, { result: made('registered', 0.83) })
    for (let version = 2; version <= 4; version++) await world.push('delay', 'logistic', `try ${version}`)
    await world.db.query('update lockstep.model_versions set pushed_by = $1 where version = 4', [`training weekly, job ${registered}`])
    await promoteModel(world.db, 'delay', 1, { actor: 'ada' })
    const { rollout } = await startRollout(
      world.db,
      'delay',
      { version: 4, plan: 'default' },
      { actor: `training weekly, job ${registered}` },
    )
    const last = await beginRun(world.db, noon - day)
    const listed = [{ name: 'asked' }, { name: 'weekly', last: { job: String(last), state: 'no worker' } }]
    // an answer is kept for a moment
    await vi.waitFor(async () => expect(await list()).toMatchObject(listed), { timeout: 60_000 })
    const figures = [
      { title: 'AUC', candidate: { value: 0.83 }, champion: { value: 0.6 }, difference: { value: 0.83 - 0.6, verdict: 'better' } },
      { title: 'log loss', candidate: { value: 0.4 }, champion: null, difference: null },
    ]
    const { runs, ...weeklyNow } = await shown('weekly')
    expect(weeklyNow).toMatchObject({
      requires: ['auc of at least 0.8'],
      deploys: 'starts a rollout by the plan default',
      window: '90 d',
      test: '7 d',
      mature: '21 d',
      parameters: '{"depth":6}',
    })
    expect(runs).toMatchObject([
      { state: 'no worker', says: expect.stringContaining('has an executable file "train_delay.py"') as string, version: null },
      {
        state: 'registered',
        says: null,
        version: 4,
        metrics: [{ name: 'auc', value: 0.83 }],
        deployed: 'started a rollout of version 4',
        rollout: String(rollout.id),
        evaluation: { champion: 3, figures },
      },
      { state: 'refused', says: 'Nothing was registered: auc is 0.7.', version: null, rollout: null, log: 'epoch 1' },
    ])
    await world.db.query(
      `update lockstep.job_chunks set claim = gen_random_uuid(), claimable_at = now() + interval '1 hour', doing = $2 where job = $1`,
      [last, JSON.stringify({ what: 'training set', done: 1200, total: 50_000 })],
    )
    const writing = { state: 'running', says: 'It writes the training set: 1,200 of 50,000 rows.' }
    await vi.waitFor(async () => expect((await shown('weekly')).runs[0]).toMatchObject(writing), { timeout: 60_000 })
    expect((await ask(url, `/v1/jobs/${last}`)).body).toMatchObject({ doing: { what: 'training set', done: 1200 } })
    await endRun(world.db, last, noon - 1000, {
      error: { code: 'WRITE_FAILED', message: 'The disk is full.', details: { log: 'epoch 2' } },
    })
    const failed = { state: 'failed', says: 'The disk is full.', log: 'epoch 2' }
    await vi.waitFor(async () => expect((await shown('weekly')).runs[0]).toMatchObject(failed), { timeout: 60_000 })
    expect(await shown('asked')).toMatchObject({ runs: [], mature: null, parameters: null, deploys: 'registers the version' })
  })

  it('are on the page of their model, with the run that registered each version', async () => {
    const { versions, trainings } = (await ann.data('/models/delay')) as ModelData
    const [newest] = trainings.filter(({ name }) => name === 'weekly')
    expect(newest).toMatchObject({ name: 'weekly', last: { state: 'failed', says: 'The disk is full.', log: '' } })
    const { jobs } = (await ann.data('/jobs?kind=training&state=done')) as JobsData
    const registered = jobs.find(({ made: version }) => version !== null)
    expect(registered).toMatchObject({ made: { model: 'delay', version: 4 }, link: { kind: 'training', id: 'weekly' } })
    expect(versions.map(({ version, trainedBy }) => [version, trainedBy])).toEqual([
      [4, { training: 'weekly', job: registered?.id }],
      [3, null],
      [2, null],
      [1, null],
    ])
  })

  it('are shown as they were at a past moment', async () => {
    await world.db.query(`update lockstep.definition_states set at = '2001-05-01' where kind = 'training'`, [])
    const then = `?asOf=${new Date((noon - 6.5 * day) / 1000).toISOString()}`
    expect((await shown('weekly', then)).runs).toMatchObject([
      { state: 'running', version: null, metrics: [], evaluation: null, log: '', finishedAt: null },
      { state: 'refused' },
    ])
    expect(await list(then)).toMatchObject([
      { name: 'asked', last: null },
      { name: 'weekly', last: { state: 'running' } },
    ])
    expect(await list('?asOf=2001-04-01T00:00:00Z')).toEqual([])
  })

  it('are unknown under another name', async () => {
    expect(await ann.ask('/ui/api/trainings/weekli')).toMatchObject({ status: 404, body: { error: { code: 'UNKNOWN_DEFINITION' } } })
  })
})

describe('jobs in the dashboard', () => {
  const listed = async (query: string) =>
    ((await ann.data(`/jobs?${query}`)) as JobsData).jobs.map(({ kind, subject, state }) => [kind, subject, state].join(' '))
  const ran = ['training weekly failed', 'training weekly done', 'training weekly done']

  it('are found by kind, state and text', async () => {
    expect(await listed('kind=training')).toEqual(ran)
    expect(await listed('kind=backfill')).toEqual([])
    expect(await listed('kind=training&state=failed')).toEqual(ran.slice(0, 1))
    // by the message that it failed with, and who submitted it
    expect(await listed('q=DISK+is')).toEqual(ran.slice(0, 1))
    expect(await listed('q=test&kind=training')).toEqual(ran)
    expect(await listed('q=100%25_')).toEqual([])
    expect((await ann.ask('/ui/api/jobs?state=waits')).status).toBe(400)
  })

  it('have at a past moment the state of then', async () => {
    const at = new Date((noon - 6.5 * day) / 1000).toISOString()
    expect(await listed(`kind=training&state=running&asOf=${at}`)).toEqual(['training weekly running'])
    expect(await listed(`kind=training&state=failed&asOf=${at}`)).toEqual([])
    // what it failed with was not known before it failed
    const before = new Date((noon - 0.75 * day) / 1000).toISOString()
    expect(await listed(`q=disk+is&asOf=${before}`)).toEqual([])
    expect(await listed(`q=weekly&state=running&asOf=${before}`)).toEqual(['training weekly running'])
  })

  it('say what their worker is at, and how far each step is', async () => {
    const begun = await beginRun(world.db, noon - 2 * day)
    const one = async () => (await ann.data(`/jobs?id=${begun}`)) as JobsData
    expect(await one()).toMatchObject({
      jobs: [{ state: 'waiting', doing: null, workers: [], moment: new Date((noon - 2 * day) / 1000).toISOString() }],
      steps: [{ step: 'plan', atWork: false, attempts: 0, error: null }],
    })
    await world.db.query(
      `update lockstep.job_chunks set claim = gen_random_uuid(), worker = 'host:1', attempts = 2, claimable_at = now() + interval '1 hour', doing = $2 where job = $1`,
      [begun, JSON.stringify({ what: 'training set', done: 1200, total: 50_000 })],
    )
    const working = {
      jobs: [{ state: 'running', doing: 'training set, 1,200 of 50,000', workers: ['host:1'] }],
      steps: [{ step: 'plan', atWork: true, attempts: 2, worker: 'host:1' }],
    }
    await vi.waitFor(async () => expect(await one()).toMatchObject(working), { timeout: 60_000 })
    await world.db.query('delete from lockstep.jobs where id = $1', [begun])
  })
})

describe('trainings over HTTP', () => {
  it('are listed and shown with their runs', async () => {
    expect((await ask(url, '/v1/trainings')).body).toMatchObject({
      trainings: [
        { name: 'asked', last: null },
        { name: 'weekly', last: { state: 'failed', error: { code: 'WRITE_FAILED' } } },
      ],
    })
    expect((await ask(url, '/v1/trainings/weekly?limit=2')).body).toMatchObject({
      name: 'weekly',
      definition: { trainer: 'train_delay.py', windowMicros: 90 * day },
      runs: [{ state: 'failed' }, { outcome: 'registered', version: 4, metrics: { auc: 0.83 }, evaluation: { champion: 3, rows: 100 } }],
    })
    expect(await ask(url, '/v1/trainings/weekli')).toMatchObject({
      status: 404,
      body: { error: { message: expect.stringContaining('Did you mean "weekly"?') as string } },
    })
    expect((await ask(url, '/v1/trainings/weekly?limit=0')).status).toBe(400)
  })

  it('run when asked to, once for an instant', async () => {
    const run = { at: '2001-07-01T11:00:00Z', reason: 'new labels' }
    const begun = await ask(url, '/v1/trainings/asked/runs', run)
    expect(begun).toMatchObject({ status: 202, body: { training: 'asked', at: run.at, state: 'waiting', joined: false } })
    expect((await ask(url, '/v1/trainings/asked/runs', run)).body).toMatchObject({
      joined: true,
      job: (begun.body as unknown as { job: number }).job,
    })
    // without an instant, it is the run under way
    expect((await ask(url, '/v1/trainings/asked/runs', {})).body).toMatchObject({ joined: true, at: run.at })
    expect(await ask(url, '/v1/trainings/asked/runs', { at: '2001-06-01T00:00:00Z' })).toMatchObject({
      status: 409,
      body: { error: { code: 'IN_USE' } },
    })
    expect((await ask(url, '/v1/trainings/asked/runs', { at: 'soon' })).status).toBe(400)
    expect((await ask(url, '/v1/trainings/asked/runs', { at: '2200-01-01T00:00:00Z' })).body.error.code).toBe('INVALID_TIME')
    const [audited] = await world.db.query<{ subject: string; reason: string }>(
      `select subject, reason from lockstep.audit_log where action = 'training.start' and reason is not null`,
    )
    expect(audited).toEqual({ subject: 'asked', reason: 'new labels' })
  })

  it('begin one run for requests with one idempotency key', async () => {
    const job = (await ask(url, '/v1/trainings/asked')).body as unknown as { runs: { job: number }[] }
    await world.db.query(`update lockstep.jobs set state = 'done', result = $2, finished_at = now() where id = $1`, [
      job.runs[0]?.job,
      JSON.stringify(made('registered', 0.9)),
    ])
    const send = () => ask(url, '/v1/trainings/asked/runs', { reason: 'again' }, { 'idempotency-key': 'k1' })
    const [first, second] = [await send(), await send()]
    expect(second.body).toEqual(first.body)
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(((await ask(url, '/v1/trainings/asked')).body as unknown as { runs: object[] }).runs).toHaveLength(2)
  })
})
