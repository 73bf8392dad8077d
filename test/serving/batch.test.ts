import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog } from '../../registry/catalog.ts'
import type { PredictBatchSummary, PredictedBatch } from '../../serving/predict/batch.ts'
import { predictBatch } from '../../serving/predict/batch.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '3 minutes', case when n % 11 = 0 then null else n % 40 end from generate_series(1, 240) n;
    create table spine as
    select n as id, 'A' || n % 9 as airport, timestamptz '2001-07-01' + n * interval '5 minutes' as at, 1.0 + n % 5 as distance, n % 2 = 0 as label from generate_series(1, 144) n;
  `)
  for (const view of ['airport_delays', 'airport_required']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('echo', 'identity')
  await world.push('strict', 'one')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

async function predict(model: string, sql: string) {
  const batches: PredictedBatch[] = []
  const options = { model, spine: { sql }, time: 'at' }
  const summary: PredictBatchSummary = await predictBatch(
    world.db,
    await loadCatalog(world.db),
    options,
    (batch) => void batches.push(batch),
  )
  const column = (of: 'spine' | 'predictions', i: number) => batches.flatMap((batch) => [...(batch[of][i] ?? [])])
  return { summary, batches, column }
}

describe('predictBatch', () => {
  it('gives what the server answers at each moment, for each spine row in order', async () => {
    const { summary, batches, column } = await predict('echo', 'select id, airport, at, distance, label from spine order by id')
    expect(summary).toMatchObject({ rows: 144, refused: 0, version: { model: 'echo', version: 1 }, outputs: [{ name: 'out' }] })
    expect(batches[0]?.columns.map((each) => each.name)).toEqual(expect.arrayContaining(['id', 'airport', 'at', 'distance', 'label']))
    const at = (name: string) => column('spine', batches[0]?.columns.findIndex((each) => each.name === name) ?? -1)
    const [airports, times, distances, labels] = [at('airport'), at('at'), at('distance'), at('label')]
    expect(labels).toEqual(Array.from({ length: 144 }, (_, i) => (i + 1) % 2 === 0))
    const outs = column('predictions', 0)
    for (let row = 0; row < 144; row += 5) {
      const { body } = await ask(url, '/v1/predict', {
        model: 'echo',
        asOf: times[row],
        entities: [{ airport: airports[row], distance: distances[row] }],
      })
      const [{ out } = { out: null }] = body.predictions
      const served = (out as (number | null)[]).map((value) => value ?? Number.NaN)
      expect([...(outs[row] as Float32Array)]).toEqual(served)
    }
    expect(outs.some((out) => Number.isNaN((out as Float32Array)[0]))).toBe(true)
    expect(outs.some((out) => Number((out as Float32Array)[0]) > 0)).toBe(true)
  })

  it('answers any number of rows in several runs, each equal to a single run', async () => {
    const once = (await predict('echo', 'select airport, at, distance from spine order by id')).column('predictions', 0)
    const sql = 'select airport, at, distance from spine, generate_series(0, 9) time order by time, id'
    const often = (await predict('echo', sql)).column('predictions', 0)
    expect(often).toEqual(Array.from({ length: 10 }, () => once).flat())
  })

  it('omits the prediction of a row without a required feature, and counts it', async () => {
    const { summary, column, batches } = await predict('strict', `select airport, at from spine order by id`)
    const airport = batches[0]?.columns.findIndex((each) => each.name === 'airport') ?? -1
    const known = column('spine', airport).map((name) => name !== 'A7' && name !== 'A8')
    const predicted = column('predictions', 0)
    // a delay may be null in the newest row, which is missing too
    predicted.forEach((value, row) => expect(value === null || known[row]).toBe(true))
    expect(summary.refused).toBe(predicted.filter((value) => value === null).length)
    expect(summary.refused).toBeGreaterThanOrEqual(known.filter((there) => !there).length)
    expect(summary.refused).toBeLessThan(summary.rows)
  })

  it('refuses a spine with a column named like an output, or without the time', async () => {
    await expect(predict('echo', 'select airport, at, distance, 1 as out from spine')).rejects.toMatchObject({ code: 'SPINE_INVALID' })
    await expect(predict('echo', 'select airport, distance from spine')).rejects.toMatchObject({ code: 'SPINE_INVALID' })
    await expect(predict('ehco', 'select 1')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  })
})
