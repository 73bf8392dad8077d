import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { jobRevision } from '../../serving/dashboard/operations/jobs-model.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'
import { createVisitor } from './dashboard/visitor.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_required')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

describe('/v1/backfills and /v1/jobs', () => {
  it('begin a backfill, show how far it is, join it, cancel it and retry it', async () => {
    const begun = await ask(url, '/v1/backfills', { view: 'airport_delays', chunks: 3 })
    expect(begun).toMatchObject({
      status: 202,
      body: { view: 'airport_delays@1', state: 'running', joined: false, chunksDone: 0, from: null, secondsLeft: null },
    })
    const { id } = begun.body as unknown as { readonly id: number }
    expect(await ask(url, '/v1/backfills', { view: 'airport_delays@1' })).toMatchObject({ status: 202, body: { id, joined: true } })
    const job = { id, kind: 'backfill', subject: 'airport_delays@1' }
    expect(await ask(url, '/v1/jobs?state=running')).toMatchObject({
      status: 200,
      body: { jobs: [{ ...job, state: 'running', workers: [] }] },
    })
    expect(await ask(url, '/v1/jobs?kind=export')).toMatchObject({ status: 200, body: { jobs: [] } })
    const cancelled = await ask(url, `/v1/jobs/${id}/cancel`, { reason: 'by mistake' })
    expect(cancelled).toMatchObject({ status: 200, body: { ...job, state: 'cancelled', steps: [{ step: 'chunk', state: 'closed' }] } })
    const message = `The job "${id}" is cancelled; only a running job can be cancelled.`
    expect(await ask(url, `/v1/jobs/${id}/cancel`, {})).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_REQUEST', message } },
    })
    const retried = await ask(url, `/v1/jobs/${id}/retry`, {})
    expect(retried).toMatchObject({
      status: 202,
      body: { ...job, state: 'running', steps: [{ step: 'plan', state: 'open', attempts: 0 }] },
    })
    expect(await ask(url, `/v1/jobs/${id}/retry`, {})).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    expect(await ask(url, `/v1/jobs/${id}/cancel`, {})).toMatchObject({ status: 200 })
    expect(await ask(url, `/v1/jobs/${id}`)).toMatchObject({ status: 200, body: { ...job, state: 'cancelled', totals: {}, result: null } })
    const lines = (await ask(url, '/v1/audit?what=job')).body as unknown as { readonly records: readonly object[] }
    expect(lines.records).toMatchObject([
      { action: 'job.cancel', subject: 'airport_delays@1' },
      { action: 'job.retry', before: { state: 'cancelled' }, after: { kind: 'backfill', job: id } },
      { action: 'job.cancel', reason: 'by mistake' },
    ])
    const visitor = createVisitor(url)
    await visitor.login(world.db)
    const headers = { 'if-match': jobRevision(await readJob(world.db, id)) }
    const stale = await visitor.ask(`/ui/api/jobs/${id}/cancel`, { method: 'POST', body: { reason: 'by mistake' }, headers })
    expect(stale).toMatchObject({ status: 412, body: { error: { code: 'STALE', message } } })
    // no revision returns, even after the records of the retries have left the audit log
    const revisions = new Set<string>()
    for (let run = 0; run < 2; run++) {
      await ask(url, `/v1/jobs/${id}/retry`, {})
      await world.db.query(`delete from lockstep.audit_log where action = 'job.retry'`)
      revisions.add(jobRevision(await readJob(world.db, id)))
      await ask(url, `/v1/jobs/${id}/cancel`, {})
    }
    expect(revisions.size).toBe(2)
    for (const path of ['/v1/jobs/x', '/v1/jobs/999999']) expect((await ask(url, path)).status).toBe(404)
    expect((await ask(url, '/v1/jobs?state=lost')).status).toBe(400)
  })

  it('refuses an invalid backfill', async () => {
    const codes = []
    const halfOpen = await ask(url, '/v1/backfills', { view: 'airport_delays', from: '2001-01-01' })
    expect(halfOpen.body.error.message).toContain('"to" is missing')
    for (const body of [
      { view: 'nothing' },
      { view: 'airport_delays', from: '2001-01-01' },
      { view: 'airport_delays', from: '2001-01-02T00:00:00Z', to: '2001-01-01T00:00:00Z' },
      { view: 'airport_delays', chunks: 0 },
      { view: 'airport_offline' },
      { view: 'airport_delays', from: '2001-01-01T00:00:00Z', to: '2001-01-02T00:00:00Z' },
    ]) {
      const { status, body: answer } = await ask(url, '/v1/backfills', body)
      codes.push([status, (answer as { error: { code: string } }).error.code])
    }
    expect(codes).toEqual([
      [404, 'UNKNOWN_DEFINITION'],
      [400, 'INVALID_TIME'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
      [400, 'INVALID_REQUEST'],
    ])
    const put = await fetch(`${url}/v1/backfills`, { method: 'PUT' })
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
  })
})
