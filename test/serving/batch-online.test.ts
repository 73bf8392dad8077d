import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { finishErasures } from '../../materializer/erase/finish-erasures.ts'
import { publishBatch, putPredictions, readPredictions, readStoredBatch } from '../../online/batch-predictions.ts'
import { outputFields } from '../../registry/define/batch-output-fields.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import type { BatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import type { BatchRequest } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import { createClient } from '../../client/index.ts'
import type * as definitions from '../client/definitions.ts'
import { hour } from './definitions.ts'
import type { World } from './world.ts'
import { createWorld, noon } from './world.ts'

// Predictions of batches in the online store, from which servers answer.

describe.each(['embedded', 'redis'] as const)('predictions of a batch in a store that is %s', (kind) => {
  let world: World
  let jobs: BatchJobs
  let url: string
  const signal = new AbortController().signal

  beforeAll(async () => {
    world = await createWorld(kind)
    await world.db.script(`
      insert into lockstep_source.landings (airport, at, delay)
      select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '1 minute', n % 40 from generate_series(1, 300) n;
      create table ahead as
      select n as id, 'A' || n as airport, timestamptz '2001-07-01 10:00Z' + n % 2 * interval '1 hour' as at from generate_series(1, 6) n`)
    await world.push('strict', 'one')
    await world.push('delay', 'logistic')
    const store = () => Promise.resolve(world.store)
    jobs = createBatchJobs({ db: world.db, catalog: () => loadCatalog(world.db), log: createLogger('silent'), store })
    for (const view of ['airport_delays', 'airport_required']) await world.materialize(view)
    const served = await world.serve()
    await served.server.whenReady()
    url = served.url
  })

  afterAll(async () => {
    await jobs?.close()
    await world?.close()
  })

  async function run(id: string, change: Partial<BatchRequest> = {}): Promise<Job> {
    const request: BatchRequest = {
      model: 'strict',
      version: null,
      // the last one comes twice
      spine: { sql: `select airport, at from ahead union all select 'A6', timestamptz '2001-07-01 09:00Z'` },
      time: 'at',
      asOf: 'at',
      knownBefore: null,
      columns: null,
      onlineMicros: 2 * hour,
      rowsPerPart: 2,
      maxRefused: null,
      minRows: null,
      overwrite: true,
      ...outputFields({ out: 'postgres:scores' }),
      ...change,
    }
    const [catalog, store] = [await loadCatalog(world.db), () => Promise.resolve(world.store)]
    const beginner = { db: world.db, catalog, kind: jobs.kind, worker: 'test', by: { actor: 'test' }, store }
    const { job } = await beginBatch(beginner, id, request)
    return await awaitJob(world.db, job.id, { signal, work: { kinds: [jobs.kind], worker: 'test' } })
  }

  async function ask(airports: readonly string[], more: object = { from: 'batch' }) {
    const entities = airports.map((airport) => ({ airport }))
    const response = await fetch(`${url}/v1/predict`, { method: 'POST', body: JSON.stringify({ model: 'strict', entities, ...more }) })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  it('answer requests that ask for them, while they are fresh', async () => {
    const live = await ask(['A1', 'A2'], {})
    expect(live.body).not.toHaveProperty('fromBatch')
    // without a batch the model answers
    const none = await createClient<typeof definitions>({ url }).predictFromBatch('strict', [{ airport: 'A1' }], { version: 1 })
    expect(none).toMatchObject({ fromBatch: [null], predictions: (live.body['predictions'] as unknown[]).slice(0, 1) })
    expect((await ask(['A1', 'A2'])).body['predictions']).toEqual(live.body['predictions'])
    expect(await run('first')).toMatchObject({ state: 'done', error: null, chunks: 4 })
    // rows that came since change what the model says, and not what the batch has said
    await world.db.query(`insert into lockstep_source.landings (airport, at, delay) values ('A1', '2001-07-01 11:59Z', 1000)`)
    await world.materialize('airport_required')
    const now = await ask(['A1'], {})
    expect(now.body['predictions']).not.toEqual((live.body['predictions'] as unknown[]).slice(0, 1))
    const { status, body } = await ask(['A1', 'A0', 'A2', 'A6'])
    expect(status).toBe(200)
    const from = (at: string) => ({ id: 'first', asOf: at })
    expect(body['fromBatch']).toEqual([from('2001-07-01T11:00:00Z'), null, from('2001-07-01T10:00:00Z'), from('2001-07-01T10:00:00Z')])
    expect((body['predictions'] as unknown[])[0]).toEqual((live.body['predictions'] as unknown[])[0])
    expect((body['predictions'] as unknown[])[1]).toEqual(((await ask(['A0'], {})).body['predictions'] as unknown[])[0])
    expect((body['predictionIds'] as unknown[]).map((each) => each === null)).toEqual([true, false, true, true])
    expect(body).toMatchObject({ model: 'strict', version: 1, role: 'champion' })
    const client = createClient<typeof definitions>({ url })
    const answer = await client.predictFromBatch('strict', [{ airport: 'A1' }, { airport: 'A0' }])
    expect(answer).toMatchObject({ model: 'strict', version: 1, service: 'strict@1', asOf: noon, degraded: false })
    expect(answer.fromBatch).toEqual([{ id: 'first', asOf: noon - hour }, null])
    expect(answer.predictions).toEqual((body['predictions'] as unknown[]).slice(0, 2))
    expect(answer.predictionIds).toEqual([null, expect.stringMatching(/./)])
    const all = await ask(['A3', 'A4'])
    expect(all.body).toMatchObject({ model: 'strict', version: 1, service: 'strict@1', role: 'champion', predictionIds: [null, null] })
  })

  it('are not used once they are too old, or of another version', async () => {
    expect(await run('brief', { onlineMicros: hour })).toMatchObject({ state: 'done' })
    // those of 10:00 are no longer fresh at 12:00, those of 11:00 are
    const { body } = await ask(['A1', 'A2'])
    expect(body['fromBatch']).toEqual([{ id: 'brief', asOf: '2001-07-01T11:00:00Z' }, null])
    const version = await world.push('strict', 'one', 'another')
    expect((await ask(['A1'], { from: 'batch', version })).body).not.toHaveProperty('fromBatch')
    expect((await ask(['A1'], { from: 'batch', version: 1 })).body).toMatchObject({ role: 'requested', fromBatch: [{ id: 'brief' }] })
  })

  it('take the place of those of the batch before, which are removed', async () => {
    const before = await readStoredBatch(world.store, 'strict')
    const done = await run('next', { version: 1 })
    expect(await readStoredBatch(world.store, 'strict')).toMatchObject({ id: 'next', job: done.id, previous: before?.job })
    const keys = ['A1\0', 'A6\0']
    expect(await readPredictions(world.store, 'strict', { ...(before as NonNullable<typeof before>) }, keys)).toEqual([null, null])
    expect(
      (await readPredictions(world.store, 'strict', (await readStoredBatch(world.store, 'strict')) as never, keys)).map(
        (each) => each?.time,
      ),
    ).toEqual([noon - hour, noon - 2 * hour])
    // of two parts with one key, the later row stays, whichever is written first
    for (const time of [2, 3, 1]) await putPredictions(world.store, { model: 'strict', job: 1 }, new Map([['A1\0', { time, text: '[1]' }]]))
    const first = (await readStoredBatch(world.store, 'strict')) as NonNullable<typeof before>
    expect(await readPredictions(world.store, 'strict', { ...first, job: 1 }, ['A1\0'])).toEqual([{ time: 3, text: '[1]' }])
    // an older batch that ends later does not replace it
    await publishBatch(world.store, 'strict', { id: 'old', job: 1, version: 1, entities: [], freshMicros: hour })
    expect(await readStoredBatch(world.store, 'strict')).toMatchObject({ id: 'next' })
  })

  it('of a batch that fails are removed', async () => {
    const failed = await run('fails', {
      maxRefused: { rows: 0 },
      minRows: null,
      spine: { sql: `select airport, at from ahead union all select 'none', at from ahead` },
    })
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'TOO_MANY_REFUSED' } })
    const place = {
      ...((await readStoredBatch(world.store, 'strict')) as NonNullable<Awaited<ReturnType<typeof readStoredBatch>>>),
      job: failed.id,
    }
    await expect.poll(() => readPredictions(world.store, 'strict', place, ['A1\0']), { timeout: 60_000 }).toEqual([null])
    expect(await readStoredBatch(world.store, 'strict')).toMatchObject({ id: 'next' })
  })

  it('are dropped when an entity of theirs is erased', async () => {
    const catalog = await loadCatalog(world.db)
    const entity = { name: 'airport', key: [{ name: 'airport', type: { kind: 'string' } }] } as const
    await eraseEntity(world.db, catalog, entity, ['A6'], new Date())
    await finishErasures(world.db, world.store, catalog, { waitMs: 60_000, moment: noon })
    expect(await readStoredBatch(world.store, 'strict')).toBeNull()
    expect((await ask(['A1'])).body).not.toHaveProperty('fromBatch')
  })

  it('need keys alone, and one store', async () => {
    await expect(run('takes', { model: 'delay', spine: { sql: 'select airport, at, 1.0 as distance from ahead' } })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('takes "distance" with each request') as string,
    })
    for (const more of [{ asOf: '2001-07-01T12:00:00Z' }, { include: ['types', 'features'] }, { format: 'columns' }])
      expect(await ask(['A1'], { from: 'batch', ...more })).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
  })
})
