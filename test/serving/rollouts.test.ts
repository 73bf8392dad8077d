import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { listPredictions } from '../../monitoring/prediction-log/read-predictions.ts'
import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import { unitPlace } from '../../statistics/assign.ts'
import { budget } from '../budget.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string
let otherUrl: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 0.5)`)
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  await world.push('delay', 'mlp')
  await world.push('echo', 'identity')
  const options = {
    predictionLog: { flushMs: 50 },
    config: { bodyLimitBytes: 100_000, logShares: { share: 1, models: new Map() }, logRetentionDays: 30 },
  }
  const [first, second] = [await world.serve({ ...options, pollMs: 60_000 }), await world.serve({ pollMs: 60_000 })]
  for (const { server } of [first, second]) await server.whenReady()
  ;[url, otherUrl] = [first.url, second.url]
  await send('POST', 'promote', { version: 1 })
})
afterAll(() => world?.close())
afterEach(() => send('POST', 'rollout/abort'))

async function send(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${url}/v1/models/delay/${path}`, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

interface Served {
  readonly version: number
  readonly role: string
  readonly rows: readonly number[]
}
interface PredictBody {
  readonly version?: number
  readonly servedBy?: readonly Served[]
  readonly predictions: readonly unknown[]
}

const entities = Array.from({ length: 40 }, (_, i) => ({ airport: 'ATL', distance: i }))
const predict = async (body: object = {}, of = url, headers: Record<string, string> = {}) => {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'delay', entities, ...body }),
  }
  const response = await fetch(`${of}/v1/predict`, request)
  return { status: response.status, body: (await response.json()) as PredictBody & Record<string, unknown> }
}
const versionsOf = ({ version, servedBy, predictions }: PredictBody): number[] => {
  const versions = new Array<number>(predictions.length).fill(version ?? 0)
  for (const group of servedBy ?? []) for (const row of group.rows) versions[row] = group.version
  return versions
}
const expected = (salt: string, share: number) => entities.map(({ distance }) => (unitPlace(salt, String(distance)) < share ? 2 : 1))
const start = async (body: object) => {
  const started = await send('POST', 'rollout', { version: 2, share: 0.5, unit: 'distance', ...body })
  expect(started.status).toBe(200)
  return started.body['rollout'] as { readonly salt: string; readonly unit: string }
}

describe('a rollout', () => {
  it('gives each unit its version, which answer and log name, and says who changed what', async () => {
    const { salt } = await start({ reason: 'trial' })
    const { body } = await predict()
    expect(versionsOf(body)).toEqual(expected(salt, 0.5))
    const [champion, canary] = [1, 2].map((version) => body.servedBy?.find((each) => each.version === version))
    expect([champion, canary]).toMatchObject([
      { role: 'champion', service: 'flight@1' },
      { role: 'canary', service: 'flight@1' },
    ])
    expect(body).not.toHaveProperty('version')
    // each row has the prediction of its version alone
    const alone = await Promise.all([1, 2].map(async (version) => (await predict({ version })).body))
    expect(body.predictions).toEqual(versionsOf(body).map((version, row) => alone[version - 1]?.predictions[row]))
    expect(alone.map(({ role }) => role)).toEqual(['champion', 'requested'])
    // the other server was notified, and assigns alike
    await until(async () => (await predict({}, otherUrl)).body.servedBy !== undefined)
    expect(versionsOf((await predict({}, otherUrl)).body)).toEqual(versionsOf(body))
    const logged = async () => await listPredictions(world.db, { since: 0, requestId: String(body['requestId']), limit: 100 })
    await until(async () => (await logged()).length === entities.length)
    expect((await logged()).map(({ entity, version, role }) => [entity, version, role])).toEqual(
      expect.arrayContaining(versionsOf(body).map((version, row) => [row, version, version === 2 ? 'canary' : 'champion'])),
    )
    expect((await send('GET', 'rollout')).body).toMatchObject({
      rollout: { state: 'running', version: 2, share: 0.5, unit: 'distance', endedAt: null },
    })
    expect((await ask(url, '/v1/models/delay')).body).toMatchObject({ version: 1, rollout: { version: 2, share: 0.5 } })
    await expect(deleteModelVersion(world.db, 'delay', 2, { actor: 'test' })).rejects.toMatchObject({ code: 'IN_USE' })
    await send('POST', 'rollout/abort', { reason: 'over' })
    expect((await predict()).body).toMatchObject({ version: 1, role: 'champion' })
    expect((await ask(url, '/v1/audit?what=rollout')).body).toMatchObject({
      records: [
        { action: 'rollout.abort', subject: 'delay@2', before: { version: 2, share: 0.5, unit: 'distance', salt }, reason: 'over' },
        {
          action: 'rollout.start',
          subject: 'delay@2',
          before: null,
          after: { version: 2, share: 0.5, unit: 'distance', salt },
          reason: 'trial',
        },
      ],
    })
  })

  it('keeps who is in as its share grows, and moves back only who leaves', async () => {
    const { salt } = await start({ share: 0 })
    let inside = new Set<number>()
    for (const share of [0, 0.1, 0.3, 0.8, 1]) {
      expect((await send('PUT', 'rollout/share', { share })).body).toMatchObject({ rollout: { share }, inForce: true })
      const versions = versionsOf((await predict()).body)
      expect(versions).toEqual(expected(salt, share))
      const now = new Set(versions.flatMap((version, row) => (version === 2 ? [row] : [])))
      expect([...inside].filter((row) => !now.has(row))).toEqual([])
      inside = now
    }
    expect(inside.size).toBe(entities.length)
    await send('PUT', 'rollout/share', { share: 0.3 })
    expect(versionsOf((await predict()).body)).toEqual(expected(salt, 0.3))
    await send('POST', 'rollout/abort')
  })

  it('assigns by the entity key by default, or by request', async () => {
    const byKey = await start({ unit: undefined })
    expect(byKey.unit).toBe('airport')
    const airports = ['ATL', 'JFK', 'SFO', 'ORD', 'LAX', 'DEN', 'SEA', 'BOS'].map((airport) => ({ airport, distance: 1 }))
    expect(versionsOf((await predict({ entities: airports })).body)).toEqual(
      airports.map(({ airport }) => (unitPlace(byKey.salt, airport) < 0.5 ? 2 : 1)),
    )
    await send('POST', 'rollout/abort')
    const { salt } = await start({ unit: 'request-id' })
    for (const id of ['one', 'two', 'three', 'four', 'five'])
      expect((await predict({}, url, { 'x-request-id': id })).body.version).toBe(unitPlace(salt, id) < 0.5 ? 2 : 1)
    await send('POST', 'rollout/abort')
  })

  it('is shown by column, and by the Open Inference Protocol', async () => {
    const { salt } = await start({})
    const [rows, columns] = [
      await predict({ include: ['features', 'types'] }),
      await predict({ format: 'columns', include: ['features', 'eventTimes', 'types'] }),
    ]
    expect(columns.body.servedBy).toEqual(rows.body.servedBy)
    const features = rows.body['features'] as Record<string, unknown>[]
    for (const [name, values] of Object.entries(columns.body['features'] as Record<string, unknown[]>))
      expect(values).toEqual(features.map((row) => row[name]))
    expect(columns.body['types']).toEqual(rows.body['types'])
    const inputs = [
      { name: 'airport', datatype: 'BYTES', shape: [40, 1], data: entities.map(({ airport }) => airport) },
      { name: 'distance', datatype: 'FP64', shape: [40, 1], data: entities.map(({ distance }) => distance) },
    ]
    const infer = await ask(url, '/v2/models/delay/infer', { inputs })
    const versions = expected(salt, 0.5)
    expect(infer.body).toMatchObject({
      model_version: '',
      parameters: { versions: versions.join(), roles: versions.map((version) => (version === 2 ? 'canary' : 'champion')).join() },
    })
    await send('POST', 'rollout/abort')
  })

  it('loses to a pin, and is in force again after it', async () => {
    await start({ share: 1 })
    expect((await predict()).body).toMatchObject({ version: 2, role: 'canary' })
    await send('PUT', 'pin', { version: 1 })
    expect((await predict()).body).toMatchObject({ version: 1, role: 'champion' })
    const shared = await send('PUT', 'rollout/share', { share: 0.9 })
    expect(shared.body).toMatchObject({ notes: [expect.stringContaining('pinned to version 1') as string] })
    await send('PUT', 'rollout/share', { share: 1 })
    await send('DELETE', 'pin')
    expect((await predict()).body).toMatchObject({ version: 2, role: 'canary' })
    await send('POST', 'rollout/abort')
  })

  it('ends with its candidate as champion, in one change', async () => {
    await start({ share: 0.2 })
    const before = (await ask(url, '/v1/audit?limit=1')).body
    expect(await send('POST', 'promote', { version: 2 })).toMatchObject({ status: 409, body: { error: { code: 'IN_USE' } } })
    const promoted = await send('POST', 'rollout/promote', { reason: 'good' })
    expect(promoted.body).toMatchObject({ rollout: { state: 'promoted', version: 2 }, inForce: true })
    expect((await predict()).body).toMatchObject({ version: 2, role: 'champion' })
    expect((await send('GET', 'history?limit=1')).body['events']).toMatchObject([{ action: 'promote', from: 1, to: 2, reason: 'good' }])
    expect((await send('GET', 'rollout')).body).toMatchObject({ rollout: { state: 'promoted', endedAt: expect.any(String) as string } })
    expect(before).toBeDefined()
    await send('POST', 'rollback')
  })

  it('is refused with what to do', async () => {
    const refused = async (method: string, path: string, body: unknown, status: number, text: string) => {
      const { status: got, body: answer } = await send(method, path, body)
      expect([got, (answer['error'] as { message: string } | undefined)?.message]).toEqual([status, expect.stringContaining(text)])
    }
    const from = { version: 2, share: 0.5 }
    await refused(
      'POST',
      'rollout',
      { ...from, unit: 'destination' },
      400,
      'The unit is "destination", but requests for the model "delay" have no such field',
    )
    await refused('POST', 'rollout', { ...from, share: 2 }, 400, 'share')
    await refused('POST', 'rollout', { ...from, version: 1 }, 409, 'version 1 of the model "delay" answers already')
    await refused('POST', 'rollout', { ...from, version: 9 }, 404, 'no version 9')
    await refused('PUT', 'rollout/share', { share: 0.5 }, 404, 'has no running rollout')
    await refused('POST', 'rollout/abort', {}, 404, 'lockstep rollout start delay@N')
    await refused('POST', 'rollout/promote', {}, 404, 'has no running rollout')
    await start({})
    await refused('POST', 'rollout', from, 409, 'for another plan, abort it and start it again')
    await refused('DELETE', 'aliases/champion', undefined, 409, 'End the rollout before you delete the alias "champion"')
    expect(await predict({ entities: [{ airport: 'ATL' }] })).toMatchObject({
      status: 400,
      body: { error: { message: 'The field "distance" of entity 0 is missing; send it as float64.' } },
    })
    expect(await predict({ entities: ['ATL'] })).toMatchObject({ status: 400 })
    await send('POST', 'rollout/abort')
  })
})

it('answers all rows of a request by one routing state while the routing changes', { timeout: 300_000 }, async () => {
  const { salt } = await start({ share: 0 })
  const changes = budget(200)
  const shares = [0, 0.2, 0.4, 0.6, 0.8, 1]
  const states = new Set(shares.map((share) => expected(salt, share).join()))
  let over = false
  let answered = 0
  const load = async (of: string) => {
    while (!over) {
      const { status, body } = await predict({}, of)
      expect(status).toBe(200)
      expect(states).toContain(versionsOf(body).join())
      answered++
    }
  }
  const loads = [load(url), load(otherUrl)]
  for (let i = 1; i <= changes; i++)
    expect((await send('PUT', 'rollout/share', { share: shares[(i * 5) % shares.length] })).status).toBe(200)
  over = true
  await Promise.all(loads)
  expect(answered).toBeGreaterThan(changes)
  const last = expected(salt, shares[(changes * 5) % shares.length] as number)
  for (const server of [url, otherUrl]) await until(async () => versionsOf((await predict({}, server)).body).join() === last.join())
  await send('POST', 'rollout/abort')
})
